"""A person in a real browser: sent to the provider, signed in, gives a verdict under their name, and signs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from cds.api import create_app
from cds.demo.film import demo_film
from cds.demo.state import DemoState
from cds.service import Service
from cds.settings import Settings
from cds.store.films import store_imaging_result
from cds.store.verdicts import recent_verdicts
from tests.cds.hooks.builders import NOW
from tests.cds.security.openid_provider import CLIENT, SECRET, OpenIdProvider
from vision.result import Finding, ImagingResult, ModelRef

PATIENCE_MS = 60_000


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    made = OpenIdProvider()
    yield made
    made.close()


@pytest.fixture
def service(
    tmp_path: Path, free_port: int, provider: OpenIdProvider, serve: Callable[[Any, int], None]
) -> Iterator[Service]:
    secret = tmp_path / "id.secret"
    secret.write_text(SECRET)
    made = Service(
        Settings(
            data_dir=tmp_path / "data",
            port=free_port,
            signin_issuer=provider.issuer,
            signin_client_id=CLIENT,
            signin_client_secret_file=secret,
        )
    )
    made.database.migrate()
    serve(create_app(made), free_port)
    yield made
    made.close()


@pytest.fixture
def film_id(service: Service, tmp_path: Path) -> str:
    """Return a film that arrived, with a result that shows a lung mass."""
    film = demo_film(DemoState.of(tmp_path / "demo"), patient_id="SIGNIN-1", issuer="NORTH")
    stored = service.film_arrivals.receive(film, source="test", at=NOW)
    model = ModelRef(id="adult", version="1", sha256="0" * 64)
    finding = Finding(key="lung_mass", score=0.83, label=True, threshold=0.5, model=model)
    with service.database.writing() as session:
        store_imaging_result(session, stored.film_id, ImagingResult(findings=(finding,), analysed_at=NOW), at=NOW)
    return stored.film_id


@pytest.fixture
def page(chromium: Browser, service: Service) -> Iterator[Page]:
    context = chromium.new_context(base_url=service.settings.base_url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def faults(page: Page) -> set[str]:
    found = Axe().run(page).response["violations"]
    return {fault["id"] for fault in found if fault["impact"] in ("serious", "critical")}


def test_a_person_signs_in_judges_a_finding_and_signs_out(
    page: Page, provider: OpenIdProvider, service: Service, film_id: str
) -> None:
    page.goto(f"/films/{film_id}")
    expect(page.locator("h1")).to_have_text("Sign in")
    assert faults(page) == set()
    page.get_by_role("link", name="Sign in at").click()
    page.get_by_role("button", name="Let me in").click()
    page.wait_for_url(f"**/films/{film_id}")
    expect(page.locator(".signed-in")).to_contain_text("Ann Ray")
    assert faults(page) == set()

    page.locator("html[data-ready]").wait_for(state="attached")
    page.get_by_role("button", name="Agree", exact=True).first.click()
    expect(page.locator(".finding-row .said").first).to_have_text("Ann Ray, just now")
    with service.database.reading() as session:
        (said,) = recent_verdicts(session, limit=10)
    assert (said.verdict, said.said_by) == ("agree", f"Ann Ray (u-4711 at {provider.issuer})")
    assert page.evaluate("document.cookie") == ""

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/signin")
    assert provider.ended == [{"client_id": CLIENT, "post_logout_redirect_uri": service.signin.signed_out_uri}]
    page.goto(f"/films/{film_id}")
    expect(page.locator("h1")).to_have_text("Sign in")


def test_a_person_without_a_role_is_told_so(page: Page, provider: OpenIdProvider) -> None:
    provider.person["roles"] = []
    page.goto("/")
    page.get_by_role("link", name="Sign in at").click()
    page.get_by_role("button", name="Let me in").click()
    expect(page.get_by_role("alert")).to_contain_text("has no role here")
    page.goto("/")
    expect(page.locator("h1")).to_have_text("Sign in")
