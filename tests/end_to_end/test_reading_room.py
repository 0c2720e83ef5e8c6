"""The reading room in a real browser: from a film that comes in to a verdict, by keyboard; and who can use it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from cds.demo.film import demo_film
from cds.demo.record import ISSUER
from cds.demo.state import DemoState
from tests.end_to_end.cds_processes import KEY, Served, wait_for

PATIENT = "READING-1"
SYSTEM = "urn:oid:2.25.153203873041862379241874"
PATIENCE_MS = 120_000
LAPTOP: Any = {"width": 1440, "height": 900}
PHONE: Any = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def film_id(service: Served, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a film that was sent to the running service and is analysed."""
    film = demo_film(DemoState.of(tmp_path_factory.mktemp("film")), patient_id=PATIENT, issuer=ISSUER)
    with service.client() as client:
        sent = client.post("/api/v1/studies", content=film, headers={"Content-Type": "application/dicom"}).json()
        address = f"/api/v1/studies/{sent['study_id']}"
        wait_for(lambda: client.get(address).json()["status"] == "analysed", "the result of the film")
    return str(sent["study_id"])


@pytest.fixture
def page(chromium: Browser, service: Served) -> Iterator[Page]:
    """Return a page of a signed-in browser; it must not complain while the test runs."""
    context = chromium.new_context(
        base_url=service.address, http_credentials={"username": "tests", "password": KEY}, viewport=LAPTOP
    )
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    assert complaints == []


def ready(page: Page) -> None:
    """Wait until the keys of a case page work; the pages' policy allows no evaluated text, so nothing polls inside."""
    page.locator("html[data-ready]").wait_for(state="attached")


def test_from_the_worklist_to_a_verdict_by_keyboard(page: Page, service: Served, film_id: str) -> None:
    page.goto("/")
    ours = page.locator(f'tr.current a[href="/films/{film_id}"]')
    for _ in range(page.locator(".row-link").count()):
        if ours.count():
            break
        page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/films/{film_id}")
    ready(page)

    page.keyboard.press("a")
    current = page.locator(".finding-row.current")
    expect(current.locator(".said")).to_contain_text("tests, just now", timeout=PATIENCE_MS)
    judged = current.get_attribute("data-finding")

    page.keyboard.press("j")
    corrected = page.locator(".finding-row.current")
    page.keyboard.press("c")
    box = page.locator("#film").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.4 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
    page.mouse.up()
    expect(corrected.locator(".said")).to_contain_text("tests, just now", timeout=PATIENCE_MS)

    with service.client() as client:
        said = [row for row in client.get("/api/v1/verdicts").json() if row["film_id"] == film_id]
        assert [(row["verdict"], row["said_by"]) for row in said] == [("corrected", "tests"), ("agree", "tests")]
        assert said[1]["finding"] == judged
        (region,) = said[0]["regions"]
        assert (region["x0"], region["y1"]) == pytest.approx((0.6, 0.6), abs=0.02)

        page.keyboard.press("x")
        page.wait_for_url(lambda address: film_id not in address)
        done = client.get("/api/v1/worklist", params={"view": "done"}).json()
        assert f"/films/{film_id}" in [row["address"] for row in done]


def test_window_and_level_reach_the_films_own_depth(page: Page, film_id: str) -> None:
    page.goto(f"/films/{film_id}")
    ready(page)
    page.locator("#width").fill("60")
    page.locator("#deep").wait_for(state="visible")
    assert int(page.locator("#stage").get_attribute("data-depth") or 0) > 8
    shades = page.evaluate(
        "() => { const c = document.getElementById('deep');"
        "const d = c.getContext('2d').getImageData(0, c.height / 2, c.width, 1).data;"
        "return new Set(d.filter((_, i) => i % 4 === 0)).size; }"
    )
    assert shades > 50


@pytest.fixture(scope="module")
def addresses(service: Served, film_id: str) -> list[str]:
    """Return the addresses of every kind of page, with something to show on each."""
    with service.client() as client:
        question = {"question": "Is the nodule in the right upper lobe new?"}
        asked = client.post(f"/api/v1/studies/{film_id}/opinions", json=question).json()["id"]
    views = ("open", "second-look", "untold", "overdue", "done")
    return [
        *(f"/?view={view}" for view in views), f"/films/{film_id}", f"/opinions/{asked}", "/monitoring", "/tour",
    ]  # fmt: skip


@pytest.mark.parametrize(("colours", "size"), [("light", LAPTOP), ("dark", PHONE)], ids=["laptop", "phone"])
def test_pages_have_no_serious_fault_of_accessibility_and_fit_the_screen(
    page: Page, addresses: list[str], colours: Any, size: Any
) -> None:
    page.emulate_media(color_scheme=colours)
    page.set_viewport_size(size)
    for address in addresses:
        page.goto(address)
        page.wait_for_load_state("networkidle")
        faults = {
            f"{address} {fault['id']}: {fault['nodes'][0]['html'][:120]}"
            for fault in Axe().run(page).response["violations"]
            if fault["impact"] in ("serious", "critical")
        }
        assert faults == set()
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_a_script_in_a_report_stays_text(page: Page, service: Served, tmp_path: Path) -> None:
    state = DemoState.of(tmp_path)
    hostile = "FINDINGS: <img src=x onerror=alert(1)><script>document.title = 'owned'</script> No effusion."
    film = demo_film(state, patient_id="<b>READING-2</b>", issuer=ISSUER)
    report = {
        "resourceType": "DiagnosticReport",
        "id": "hostile",
        "status": "final",
        "subject": {"identifier": {"system": SYSTEM, "value": "<b>READING-2</b>"}},
        "imagingStudy": [{"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{state.uid('study')}"}}],
        "presentedForm": [{"contentType": "text/plain", "data": base64.b64encode(hostile.encode()).decode()}],
    }
    with service.client() as client:
        sent = client.post("/api/v1/studies", content=film, headers={"Content-Type": "application/dicom"}).json()
        assert client.post("/api/v1/reports", json=report).status_code == 202
    page.goto(f"/films/{sent['study_id']}")
    ready(page)
    assert "owned" not in page.title()
    assert hostile in page.locator("#report-text").inner_text()
    assert "<b>READING-2</b>" in page.locator("h1").inner_text()
