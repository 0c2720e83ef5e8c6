"""People sign in to the pages at an OpenID provider; whatever does not prove who they are lets nobody in."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey
from pydantic import ValidationError
from structlog.testing import capture_logs

from cds.api import create_app
from cds.errors import AuthorizationError
from cds.fhir.audit_events import audit_event
from cds.pages.signin import own_path
from cds.service import Service
from cds.settings import Settings
from cds.signin.codeflow import CodeFlow
from cds.signin.provider import SignedIn, SignIn
from cds.signin.sessions import BrowserSession
from cds.store.browser_tables import BrowserSessionRow, CodeRequestRow
from tests.cds.hooks.builders import plant_film
from tests.cds.security.certificates import self_signed
from tests.cds.security.openid_provider import CLIENT, SECRET, OpenIdProvider

BASE = "https://cds.example"
ME = "u-4711 at"
KEY = "a-key-of-the-tests"
PAGE = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def running() -> Iterator[OpenIdProvider]:
    made = OpenIdProvider()
    yield made
    made.close()


@pytest.fixture
def provider(running: OpenIdProvider) -> OpenIdProvider:
    running.behave()
    return running


@pytest.fixture(scope="module")
def app(running: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """One service for all tests here; each has browsers of its own."""
    folder = tmp_path_factory.mktemp("signin")
    secret = folder / "id.secret"
    secret.write_text(f"{SECRET}\n")
    service = Service(
        Settings(
            data_dir=folder / "data",
            public_url=BASE,
            api_keys={"machine": KEY},
            signin_issuer=running.issuer,
            signin_client_id=CLIENT,
            signin_client_secret_file=secret,
        )
    )
    service.database.migrate()
    made = create_app(service)
    made.state.service = service
    yield made
    service.close()


@pytest.fixture
def service(app: FastAPI) -> Service:
    """The service, with nobody signed in."""
    service: Service = app.state.service
    with service.database.writing() as session:
        session.query(BrowserSessionRow).delete()
        session.query(CodeRequestRow).delete()
    return service


@pytest.fixture
def new_browser(app: FastAPI, service: Service) -> Callable[[], TestClient]:
    return lambda: TestClient(app, base_url=BASE, headers=PAGE, follow_redirects=False)


@pytest.fixture
def browser(new_browser: Callable[[], TestClient]) -> TestClient:
    return new_browser()


@pytest.fixture
def film_id(service: Service) -> str:
    return plant_film(service)


def signin_of(service: Service) -> SignIn:
    """Return a sign-in that has asked the provider nothing yet."""
    return SignIn(service.database, service.settings, service.sessions, CodeFlow(service.database))


def changed(address: str, **query: str | None) -> str:
    """Return an address with other values in its query; None leaves a name out."""
    parts = urlsplit(address)
    asked = {**dict(parse_qsl(parts.query)), **query}
    kept = {name: value for name, value in asked.items() if value is not None}
    return urlunsplit(parts._replace(query=urlencode(kept)))


def sent_away(browser: TestClient, to: str = "/") -> str:
    """Return where at the provider a browser is sent."""
    started = browser.get("/signin/start", params={"to": to})
    assert started.status_code == 303, started.text
    return started.headers["location"]


def sign_in(browser: TestClient, provider: OpenIdProvider, to: str = "/", **query: str | None) -> Response:
    """Return the answer to a browser that comes back from the provider; `query` is what is wrong about its address."""
    return browser.get(changed(provider.authorized(sent_away(browser, to)), **query))


def is_in(browser: TestClient) -> bool:
    return browser.get("/api/v1/studies", headers={"Accept": "*/*"}).is_success


def test_a_person_signs_in_and_comes_back_to_the_page_that_was_asked_for(
    browser: TestClient, provider: OpenIdProvider
) -> None:
    first = browser.get("/?view=done")
    assert (first.status_code, first.headers["location"]) == (303, "/signin?to=%2F%3Fview%3Ddone")
    shown = browser.get(first.headers["location"])
    assert urlsplit(provider.issuer).netloc in shown.text
    assert "/signin/start?to=/%3Fview%3Ddone" in shown.text
    done = sign_in(browser, provider, "/?view=done")
    assert (done.status_code, done.headers["location"]) == (303, "/?view=done")
    assert provider.asked["redirect_uri"] == f"{BASE}/signin/callback"
    assert provider.asked["scope"] == "openid profile"
    page = browser.get("/?view=done")
    assert page.status_code == 200
    assert "Ann Ray" in page.text
    assert 'action="/signout"' in page.text


def test_scripts_and_clients_get_a_status_and_no_page(browser: TestClient) -> None:
    refused = browser.get("/", headers={"Accept": "*/*"})
    assert (refused.status_code, refused.text) == (401, "")
    assert not refused.headers["www-authenticate"].startswith("Basic")
    assert browser.get("/api/v1/studies", headers={"Accept": "text/html"}).status_code == 401
    assert browser.get("/api/v1/studies", headers={"Authorization": f"Bearer {KEY}"}).is_success


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_id_tokens_of_both_kinds_of_key_are_taken(
    browser: TestClient, provider: OpenIdProvider, algorithm: str
) -> None:
    provider.algorithm = algorithm
    assert sign_in(browser, provider).status_code == 303
    assert is_in(browser)


def test_a_verdict_carries_name_and_subject_of_the_id_token(
    browser: TestClient, provider: OpenIdProvider, film_id: str
) -> None:
    sign_in(browser, provider)
    word = {"finding": "lung_mass", "verdict": "agree"}
    said = browser.post(f"/api/v1/studies/{film_id}/verdicts", json=word)
    assert said.status_code == 201, said.text
    assert said.json()["said_by"] == f"Ann Ray ({ME} {provider.issuer})"
    page = browser.get(f"/films/{film_id}").text
    assert "Ann Ray, " in page
    assert ME not in page.split("<main")[1]


def test_cookies_are_for_this_host_over_tls_and_out_of_reach_of_scripts_and_of_other_sites(
    browser: TestClient, provider: OpenIdProvider, service: Service
) -> None:
    started = browser.get("/signin/start")
    done = browser.get(provider.authorized(started.headers["location"]))
    for cookie in (started.headers["set-cookie"], done.headers.get_list("set-cookie")[0]):
        assert cookie.startswith("__Host-cds_")
        assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/", "Max-Age="))
        assert "Domain" not in cookie
    with service.database.reading() as session:
        kept = session.query(BrowserSessionRow).one()
        assert session.query(CodeRequestRow).count() == 0
    assert kept.token not in "".join(browser.cookies.values())


def test_a_state_is_good_once(browser: TestClient, provider: OpenIdProvider) -> None:
    back = provider.authorized(sent_away(browser))
    assert browser.get(back).status_code == 303
    provider.codes["again"] = provider.asked
    replayed = browser.get(changed(back, code="again"))
    assert (replayed.status_code, "begin again" in replayed.text) == (403, True)


def test_a_state_is_good_for_the_browser_that_began(
    browser: TestClient, provider: OpenIdProvider, new_browser: Callable[[], TestClient]
) -> None:
    back = provider.authorized(sent_away(browser))
    victim = new_browser()
    assert "another browser" in victim.get(back).text
    assert not is_in(victim)
    assert browser.get(back).status_code == 403


def test_a_state_is_good_for_ten_minutes(browser: TestClient, provider: OpenIdProvider, service: Service) -> None:
    back = provider.authorized(sent_away(browser))
    with service.database.writing() as session:
        session.query(CodeRequestRow).one().begun_at -= timedelta(minutes=11)
    assert browser.get(back).status_code == 403


BACK: dict[str, dict[str, str | None]] = {
    "a wrong state": {"state": "another"},
    "no state": {"state": None},
    "a wrong code": {"code": "another"},
    "no code": {"code": None, "error": "access_denied"},
    "a foreign issuer": {"iss": "https://evil.example"},
    "no issuer from a provider that says it names itself": {"iss": None},
}


@pytest.mark.parametrize("query", BACK.values(), ids=BACK.keys())
def test_a_browser_that_comes_back_wrongly_is_not_let_in(
    browser: TestClient, provider: OpenIdProvider, query: dict[str, str | None]
) -> None:
    refused = sign_in(browser, provider, **query)
    assert refused.status_code == 403
    assert "You were not signed in" in refused.text
    assert not is_in(browser)


FOREIGN = ECKey.generate_key("P-256", {"kid": "es"})
NOW = int(time.time())
WRONG: dict[str, dict[str, Any]] = {
    "another nonce": {"claims": {"nonce": "another"}},
    "no nonce": {"claims": {"nonce": None}},
    "alg none": {"algorithm": "none"},
    "HS256 with the public key as secret": {"algorithm": "HS256"},
    "another audience": {"claims": {"aud": "other-client"}},
    "no audience": {"claims": {"aud": None}},
    "several audiences and no party": {"claims": {"aud": [CLIENT, "other-client"]}},
    "another party": {"claims": {"aud": [CLIENT, "other-client"], "azp": "other-client"}},
    "expired": {"claims": {"exp": NOW - 120}},
    "no expiry": {"claims": {"exp": None}},
    "issued long ago": {"claims": {"iat": NOW - 3600}},
    "issued in the future": {"claims": {"iat": NOW + 3600}},
    "a foreign issuer": {"claims": {"iss": "https://evil.example"}},
    "an issuer with a slash more": {"claims": {"iss": "ISSUER/"}},
    "no subject": {"claims": {"sub": None}},
    "a subject with a line break": {"claims": {"sub": "a\nb"}},
    "an overlong subject": {"claims": {"sub": "a" * 300}},
    "a foreign key": {"algorithm": "ES256", "signing_key": FOREIGN},
    "a key that comes with it": {
        "algorithm": "ES256", "signing_key": FOREIGN, "header": {"jwk": FOREIGN.as_dict(private=False)},
    },
    "an unknown key id": {"header": {"kid": "none"}},
    "an access token": {"header": {"typ": "refresh+jwt"}},
    "an answer without ID token": {"answer": {"access_token": "t"}},
    "an ID token that is no text": {"answer": {"id_token": 7}},
    "rubbish": {"answer": {"id_token": "a.b.c"}},
    "no role": {"person": {"sub": "u-4711", "roles": []}},
    "another's role": {"person": {"sub": "u-4711", "roles": ["admin"]}},
    "roles elsewhere": {"person": {"sub": "u-4711", "groups": ["radiologist"]}},
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_an_answer_that_does_not_prove_who_one_is_lets_nobody_in(
    browser: TestClient, provider: OpenIdProvider, service: Service, wrong: dict[str, Any]
) -> None:
    for name, value in wrong.items():
        setattr(provider, name, value)
    if provider.claims.get("iss") == "ISSUER/":
        provider.claims["iss"] = f"{provider.issuer}/"
    with capture_logs() as logs:
        refused = sign_in(browser, provider)
    assert refused.status_code == 403
    assert not is_in(browser)
    with service.database.reading() as session:
        assert session.query(BrowserSessionRow).count() == 0
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["sign-in refused"]
    *_, entry, _after = service.audit.entries()
    assert (entry.what, entry.outcome) == ("GET /signin/callback", "refused")


DISCOVERY: dict[str, dict[str, Any]] = {
    "another issuer": {"issuer": "https://evil.example"},
    "no token endpoint": {"token_endpoint": None},
    "plain http beyond this machine": {"authorization_endpoint": "http://id.example/authorize"},
    "a script": {"authorization_endpoint": "javascript:alert(1)"},
    "keys from a file": {"jwks_uri": "/etc/passwd"},
    "no S256": {"code_challenge_methods_supported": ["plain"]},
}


@pytest.mark.parametrize("metadata", DISCOVERY.values(), ids=DISCOVERY.keys())
def test_a_provider_that_cannot_be_spoken_to_safely_is_not_spoken_to(
    provider: OpenIdProvider, service: Service, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata
    with pytest.raises(AuthorizationError):
        asyncio.run(signin_of(service).begin("/", at=datetime.now(UTC)))


def test_a_provider_that_is_away_is_said_to_be(tmp_path: Path, free_port: int) -> None:
    issuer = f"http://127.0.0.1:{free_port}"
    service = Service(Settings(data_dir=tmp_path / "data", signin_issuer=issuer, signin_client_id=CLIENT))
    away = TestClient(create_app(service)).get("/signin/start")
    assert (away.status_code, "does not answer" in away.text) == (503, True)
    service.close()


def test_a_provider_may_have_a_certificate_of_the_hospitals_own_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    provider = OpenIdProvider(tls)
    (tmp_path / "secret").write_text(SECRET)
    settings = Settings(
        data_dir=tmp_path / "data",
        signin_issuer=provider.issuer,
        signin_client_id=CLIENT,
        signin_client_secret_file=tmp_path / "secret",
    )
    service = Service(settings)
    service.database.migrate()

    async def sign_in_at(signin: SignIn) -> SignedIn:
        begun = await signin.begin("/", at=datetime.now(UTC))
        query = dict(parse_qsl(urlsplit(provider.authorized(begun.redirect)).query))
        return await signin.finish(
            query["code"], query["state"], begun.browser, query["iss"], before=None, at=datetime.now(UTC)
        )

    with pytest.raises(AuthorizationError, match="does not answer"):
        asyncio.run(sign_in_at(signin_of(service)))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    done = asyncio.run(sign_in_at(signin_of(service)))
    assert service.sessions.of(done.token, at=datetime.now(UTC)) is not None
    provider.close()
    service.close()


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/ /evil.example",
        "javascript:alert(1)",
        "evil",
        "",
        "/%0d%0aSet-Cookie:x",
    ],
)
def test_nobody_is_led_elsewhere_after_signing_in(
    browser: TestClient, provider: OpenIdProvider, elsewhere: str
) -> None:
    where = sign_in(browser, provider, elsewhere).headers["location"]
    assert urlsplit(where)[:2] == ("", "")
    assert where == "/" or where == elsewhere == "/%0d%0aSet-Cookie:x"


@given(st.text(max_size=40) | st.text("/\\\t\r\n .:@evil", max_size=12))
def test_a_path_to_come_back_to_is_always_ours(asked: str) -> None:
    path = own_path(asked)
    seen_by_browsers = "".join(c for c in path if c not in "\t\r\n").replace("\\", "/")
    assert seen_by_browsers.startswith("/")
    assert not seen_by_browsers.startswith("//")


def test_a_session_ends_when_it_is_not_used(browser: TestClient, provider: OpenIdProvider, service: Service) -> None:
    sign_in(browser, provider)
    moved(service, seen=timedelta(minutes=29))
    assert browser.get("/").status_code == 200
    with service.database.reading() as session:
        assert datetime.now(UTC) - session.query(BrowserSessionRow).one().seen_at < timedelta(minutes=1)
    moved(service, seen=timedelta(minutes=29))
    assert is_in(browser)
    with service.database.reading() as session:
        idle = datetime.now(UTC) - session.query(BrowserSessionRow).one().seen_at
    assert idle > timedelta(minutes=28), "what a page asks for by itself is no use"
    moved(service, seen=timedelta(minutes=2))
    assert browser.get("/").status_code == 303


def test_a_session_ends_after_its_hours_however_much_it_is_used(
    browser: TestClient, provider: OpenIdProvider, service: Service
) -> None:
    done = sign_in(browser, provider)
    assert "Max-Age=36000" in done.headers["set-cookie"]
    moved(service, ends=timedelta(hours=10, seconds=1))
    assert browser.get("/").status_code == 303


def moved(service: Service, *, seen: timedelta = timedelta(), ends: timedelta = timedelta()) -> None:
    """Have time go by for the one session there is."""
    with service.database.writing() as session:
        row = session.query(BrowserSessionRow).one()
        row.seen_at -= seen
        row.ends_at -= ends


def test_signing_out_ends_the_session_here_and_at_the_provider(
    browser: TestClient, provider: OpenIdProvider, new_browser: Callable[[], TestClient]
) -> None:
    sign_in(browser, provider)
    stolen = dict(browser.cookies)
    out = browser.post("/signout", headers={"Origin": BASE})
    assert out.status_code == 200
    query = {"client_id": CLIENT, "post_logout_redirect_uri": f"{BASE}/signin"}
    assert f"{provider.issuer}/logout?{urlencode(query)}".replace("&", "&amp;") in out.text
    assert out.headers["clear-site-data"] == '"cache"'
    assert not is_in(browser)
    thief = new_browser()
    thief.cookies.update(stolen)
    assert not is_in(thief)


def test_a_provider_that_signs_nobody_out_is_left_in_peace(provider: OpenIdProvider, service: Service) -> None:
    provider.metadata = {"end_session_endpoint": None}
    assert asyncio.run(signin_of(service).left("a token")) is None


def test_signing_in_anew_ends_the_session_of_before(
    browser: TestClient, provider: OpenIdProvider, new_browser: Callable[[], TestClient]
) -> None:
    sign_in(browser, provider)
    before = dict(browser.cookies)
    sign_in(browser, provider)
    assert is_in(browser)
    old = new_browser()
    old.cookies.update(before)
    assert not is_in(old)


FOREIGN_PAGES: tuple[dict[str, str], ...] = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://evil.cds.example", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
)


@pytest.mark.parametrize("sent", FOREIGN_PAGES)
def test_a_page_of_another_origin_changes_nothing_by_what_a_browser_sends_by_itself(
    browser: TestClient, provider: OpenIdProvider, film_id: str, sent: dict[str, str]
) -> None:
    address, word = f"/api/v1/studies/{film_id}/reading", {"done": True}
    assert browser.post(address, json=word, auth=("machine", KEY), headers=sent).status_code == 403
    sign_in(browser, provider)
    assert browser.post(address, json=word, headers=sent).status_code == 403
    assert browser.post("/signout", headers=sent).status_code == 403
    assert browser.post(address, json=word, headers={"Origin": BASE}).status_code == 201
    assert browser.post(address, json=word, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 201
    told = browser.post(address, json=word, headers={**sent, "Authorization": f"Bearer {KEY}"})
    assert told.status_code == 201, "a page that knows the key proves what it is"


def test_a_form_of_another_page_cannot_say_a_verdict(
    browser: TestClient, provider: OpenIdProvider, film_id: str
) -> None:
    sign_in(browser, provider)
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        sent = browser.post(
            f"/api/v1/studies/{film_id}/reading", content=b'{"done": true}', headers={"Content-Type": kind}
        )
        assert sent.status_code == 422


def test_a_role_decides_what_a_person_sees_and_a_page_says_so(browser: TestClient, provider: OpenIdProvider) -> None:
    provider.person["roles"] = ["auditor"]
    sign_in(browser, provider)
    refused = browser.get("/")
    assert (refused.status_code, "clinician or radiologist" in refused.text) == (403, True)
    assert "Ann Ray" in refused.text
    assert browser.get("/api/v1/audit/verification").is_success


def test_the_trail_names_who_signed_in_and_out_and_holds_no_token(
    browser: TestClient, provider: OpenIdProvider, service: Service
) -> None:
    before = len(list(service.audit.entries()))
    with capture_logs() as logs:
        done = sign_in(browser, provider)
        browser.get("/")
        token = done.headers["set-cookie"].split("=")[1].split(";")[0]
        browser.post("/signout")
    said = [(entry.what, entry.client, entry.role, entry.outcome) for entry in service.audit.entries(after=before)]
    me = f"{ME} {provider.issuer}"
    assert said == [
        ("GET /signin/start", "anyone", None, "ok"),
        ("GET /signin/callback", me, "radiologist", "ok"),
        ("GET /", me, "radiologist", "ok"),
        ("POST /signout", me, "radiologist", "ok"),
    ]
    events = [audit_event(entry, site=BASE) for entry in service.audit.entries(after=before)]
    assert [event["subtype"][0]["code"] for event in events] == ["read", "110122", "read", "110123"]
    assert [event["type"]["code"] for event in events] == ["rest", "110114", "rest", "110114"]
    trail = str([vars(entry) for entry in service.audit.entries(after=before)]) + str(logs)
    for secret in (token, "planted-access-token", provider.asked["state"], provider.asked["nonce"], SECRET):
        assert secret not in trail


def test_a_launched_case_does_not_make_a_person(browser: TestClient, service: Service) -> None:
    with service.database.writing() as session:
        who = BrowserSession("smart:x", None, frozenset(), "case-1")
        token = service.sessions.open(session, who, at=datetime.now(UTC), lives=timedelta(hours=1))
    browser.cookies.set("__Host-cds_session", token)
    assert not is_in(browser)


def test_settings_of_half_a_provider_or_of_an_unsafe_one_are_refused(tmp_path: Path) -> None:
    for wrong in (
        {"signin_issuer": "https://id.example"},
        {"signin_client_id": "x"},
        {"signin_issuer": "http://id.example", "signin_client_id": "x"},
        {"signin_issuer": "https://id.example?x=1", "signin_client_id": "x"},
        {"signin_issuer": "id.example", "signin_client_id": "x"},
    ):
        with pytest.raises(ValidationError, match="signin_issuer"):
            Settings(data_dir=tmp_path, **wrong)  # type: ignore[arg-type]
