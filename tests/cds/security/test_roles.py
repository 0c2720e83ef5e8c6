"""Who may do what: by key and by token of an OpenID provider; everything else is 401 or 403."""

from __future__ import annotations

import base64
import hmac
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from joserfc import jws
from joserfc.jwk import ECKey

from cds.api import create_app
from cds.roles import EVERY_ROLE, ROLES, needed, permits
from cds.service import Service
from cds.settings import Settings
from tests.cds.hooks.ehr import rsa_key

BASE, ISSUER = "https://cds.example", "https://id.example"
KEYS = {role: f"the-key-of-a-{role}" for role in ROLES}
FOREIGN = ECKey.generate_key("P-256", {"kid": "es"})


class Provider:
    """An OpenID provider whose key set lies in a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "provider.json"
        self.keys = {"RS256": rsa_key(), "ES256": ECKey.generate_key("P-256", {"kid": "es"})}
        public = [{**key.as_dict(private=False), "use": "sig"} for key in self.keys.values()]
        self.file.write_text(json.dumps({"keys": public}))

    def token(
        self, *, algorithm: str = "ES256", key: Any = None, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """Return a token; None as a claim leaves it out."""
        key, now = key or self.keys[algorithm], int(time.time())
        content = {"iss": ISSUER, "sub": "ann", "aud": BASE, "exp": now + 60, "roles": ["radiologist"], **claims}
        head = {"alg": algorithm, "kid": "es", "typ": "JWT", **(header or {})}
        if algorithm == "RS256" and not header:
            head["kid"] = "rsa"
        content = {name: value for name, value in content.items() if value is not None}
        return jws.serialize_compact(head, json.dumps(content), key, algorithms=[algorithm])


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    return Provider(tmp_path)


@pytest.fixture
def service(tmp_path: Path, provider: Provider) -> Iterator[Service]:
    made = Service(
        Settings(
            data_dir=tmp_path / "data",
            public_url=BASE,
            api_keys={**KEYS, "unlisted": "the-key-of-nobody-1"},
            api_roles={role: (role,) for role in ROLES},
            oidc_issuers={ISSUER: str(provider.file)},
        )
    )
    made.database.migrate()
    yield made
    made.close()


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), raise_server_exceptions=False)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


CASES = {
    ("GET", "/"): {"clinician", "radiologist"},
    ("GET", "/api/v1/studies"): {"clinician", "radiologist"},
    ("GET", "/api/v1/verdicts"): {"clinician", "radiologist"},
    ("GET", "/fhir/Observation"): {"clinician", "radiologist"},
    ("GET", "/api/v1/models"): set(ROLES),
    ("POST", "/api/v1/studies"): {"clinician", "radiologist", "engineer"},
    ("POST", "/api/v1/risk"): {"clinician", "radiologist", "engineer"},
    ("POST", "/api/v1/studies/1/verdicts"): {"radiologist"},
    ("GET", "/monitoring"): set(ROLES),
    ("GET", "/opinions/1"): {"radiologist", "remote_reader"},
    ("GET", "/api/v1/opinions/1"): {"clinician", "radiologist"},
    ("POST", "/api/v1/opinions/1/reply"): {"radiologist", "remote_reader"},
    ("POST", "/api/v1/studies/1/opinions"): {"radiologist"},
    ("POST", "/api/v1/reports/1/told"): {"radiologist"},
    ("GET", "/api/v1/subscriptions"): {"engineer"},
    ("GET", "/api/v1/audit/events"): {"auditor"},
    ("GET", "/api/v1/audit/verification"): {"auditor"},
}


@pytest.mark.parametrize(("method", "path"), CASES)
def test_each_role_may_do_what_the_table_says_and_nothing_else(client: TestClient, method: str, path: str) -> None:
    let_in = {
        role
        for role, key in KEYS.items()
        if client.request(method, path, headers=bearer(key)).status_code not in (401, 403)
    }
    assert let_in == CASES[method, path]
    assert client.request(method, path, headers=bearer("the-key-of-nobody-1")).status_code == 403
    assert client.request(method, path).status_code == 401


def test_the_trail_names_the_role_and_keeps_what_was_refused(client: TestClient, service: Service) -> None:
    client.get("/api/v1/audit/verification", headers=bearer(KEYS["clinician"]))
    client.get("/api/v1/studies", headers=bearer(KEYS["radiologist"]))
    said = [(entry.client, entry.role, entry.outcome) for entry in service.audit.entries()]
    assert said == [("clinician", "clinician", "refused"), ("radiologist", "radiologist", "ok")]


def test_clinicians_judge_where_the_site_says_so() -> None:
    assert not permits({"clinician"}, "judge")
    assert permits({"clinician"}, "judge", clinicians_judge=True)
    assert not permits({"engineer"}, "judge", clinicians_judge=True)


def test_without_roles_configured_a_key_has_them_all(tmp_path: Path) -> None:
    service = Service(Settings(data_dir=tmp_path / "data", api_keys={"ward": "the-key-of-the-ward"}))
    client = TestClient(create_app(service))
    assert client.get("/api/v1/audit/verification", headers=bearer("the-key-of-the-ward")).is_success
    service.close()


def test_no_route_changes_anything_with_the_right_to_read_alone(service: Service) -> None:
    for route in create_app(service).routes:
        if isinstance(route, APIRoute) and route.path.startswith("/api/v1"):
            for method in (route.methods or set()) - {"GET", "HEAD", "OPTIONS"}:
                assert needed(method, route.path) not in ("read", None), (method, route.path)
    assert frozenset(ROLES) == EVERY_ROLE


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_person_signs_in_by_a_token_of_the_provider(client: TestClient, provider: Provider, algorithm: str) -> None:
    headers = bearer(provider.token(algorithm=algorithm))
    assert client.get("/api/v1/studies", headers=headers).is_success
    assert client.get("/api/v1/audit/verification", headers=headers).status_code == 403


def test_a_token_without_a_known_role_lets_nobody_in(client: TestClient, provider: Provider) -> None:
    for roles in (None, [], ["admin"], "other", [7], {"radiologist": 1}):
        assert client.get("/api/v1/studies", headers=bearer(provider.token(roles=roles))).status_code == 403


def test_roles_may_lie_inside_a_claim_and_have_names_of_the_site(tmp_path: Path, provider: Provider) -> None:
    service = Service(
        Settings(
            data_dir=tmp_path / "data",
            public_url=BASE,
            oidc_issuers={ISSUER: str(provider.file)},
            oidc_roles_claim="realm_access.roles",
            oidc_roles={"grp-audit": "auditor"},
        )
    )
    client = TestClient(create_app(service))
    token = provider.token(roles=None, realm_access={"roles": ["grp-audit", "auditor"]})
    assert client.get("/api/v1/audit/verification", headers=bearer(token)).is_success
    assert (
        client.get("/api/v1/audit/verification", headers=bearer(provider.token(roles=["auditor"]))).status_code == 403
    )
    service.close()


WRONG: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "https://other.example"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://evil.example"},
    "expired": {"exp": int(time.time()) - 120},
    "no expiry": {"exp": None},
    "not yet": {"nbf": int(time.time()) + 3600},
    "no subject": {"sub": None},
    "a foreign key": {"key": FOREIGN},
    "a key that comes with it": {"key": FOREIGN, "header": {"jwk": FOREIGN.as_dict(private=False)}},
    "a foreign jku": {"key": FOREIGN, "header": {"jku": "https://evil.example/jwks"}},
    "an unknown key id": {"header": {"kid": "none"}},
    "crit": {"header": {"crit": ["b64"], "b64": True}},
    "a refresh token": {"header": {"typ": "refresh+jwt"}},
}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG.keys())
def test_a_token_that_is_wrong_is_401(client: TestClient, provider: Provider, options: dict[str, Any]) -> None:
    assert client.get("/api/v1/studies", headers=bearer(provider.token(**options))).status_code == 401


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_a_token_signed_with_the_public_key_as_secret_or_not_at_all_is_401(
    client: TestClient, provider: Provider, algorithm: str
) -> None:
    signed = f"{_part({'alg': algorithm, 'kid': 'es', 'typ': 'JWT'})}.{provider.token().split('.')[1]}"
    public = provider.keys["ES256"].as_pem(private=False)
    mac = hmac.digest(public, signed.encode(), "sha256") if algorithm == "HS256" else b""
    token = f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    assert client.get("/api/v1/studies", headers=bearer(token)).status_code == 401


def test_a_token_of_any_shape_is_401(client: TestClient) -> None:
    headers = ([], 1, None, "x", {}, {"alg": []}, {"alg": "ES256", "kid": {}, "typ": []})
    claims = ([], None, {}, {"iss": {}}, {"iss": ISSUER})
    for header, content in itertools.product(headers, claims):
        token = f"{_part(header)}.{_part(content)}.AA"
        assert client.get("/api/v1/studies", headers=bearer(token)).status_code == 401, token


def _part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
