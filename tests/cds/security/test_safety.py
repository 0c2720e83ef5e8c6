"""`cds doctor` says what is unsafe, and is content where nothing is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cds.audit import Access, AuditTrail
from cds.operating.doctor import examine
from cds.operating.safety import look
from cds.service import Service
from cds.settings import Settings
from cds.store import Database
from tests.cds.security.openid_provider import OpenIdProvider

GOOD = "kJ3vQz8LmX2rTn7WcY5bHs9D"
OTHER = "pR6tUy1EfG4hNq0ZaV8xKw3M"
CALM: dict[str, Any] = {
    "api_keys": {"ward": GOOD, "radiology": OTHER},
    "api_roles": {"ward": ("clinician",), "radiology": ("radiologist",)},
    "jwt_issuers": {"https://ehr.example": "https://ehr.example/jwks"},
    "retention_days": dict.fromkeys(("films", "reports", "cases", "cards", "audit"), 3650),
}
SIGNIN: dict[str, Any] = {
    "signin_issuer": "https://id.example",
    "signin_client_id": "roentgen",
    "public_url": "http://cds.example",
}


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Any]:
    made: list[Service] = []
    site, key = tmp_path / "site", tmp_path / "data.key"
    site.mkdir(mode=0o700)
    (site / "identity.yaml").write_text("issuers:\n  - id: north\n    system: urn:oid:2.999.1\n")
    key.write_text(secrets.token_bytes(32).hex())
    key.chmod(0o600)

    def make(**changes: Any) -> Service:
        settings = {**CALM, "data_dir": tmp_path / "data", "config_dir": site, "encryption_key_file": key, **changes}
        service = Service(Settings(**settings))
        service.database.migrate()
        made.append(service)
        return service

    yield make
    for service in made:
        service.close()


def told(service: Service) -> list[str]:
    return [f"{grave}: {message}" for grave, message in look(service) if grave != "ok"]


def test_a_site_that_is_set_up_well_is_told_nothing(make_service: Any) -> None:
    assert told(make_service()) == []


UNSAFE: dict[str, tuple[dict[str, Any], str]] = {
    "no encryption, outside": ({"encryption_key_file": None, "host": "10.0.0.1"}, "error: the data are not encrypted"),
    "no encryption": ({"encryption_key_file": None}, "warning: the data are not encrypted"),
    "short key": ({"api_keys": {"ward": GOOD[:16]}, "api_roles": {"ward": ("clinician",)}}, "the key of ward is weak"),
    "plain key": ({"api_keys": {"ward": "a" * 40}, "api_roles": {"ward": ("clinician",)}}, "the key of ward is weak"),
    "one key twice": ({"api_keys": {"ward": GOOD, "radiology": GOOD}}, "error: api_keys: ward, radiology have one key"),
    "no roles": ({"api_roles": {}}, "warning: api_roles is not set"),
    "no roles, outside": ({"api_roles": {}, "host": "10.0.0.1"}, "error: api_roles is not set"),
    "a key without a role": ({"api_roles": {"ward": ("clinician",)}}, "radiology has no role"),
    "a role of nobody": ({"api_roles": {**CALM["api_roles"], "x": ("auditor",)}}, "x is no key"),
    "open pages": ({"api_keys": {}, "api_roles": {}}, "REST and the pages are open"),
    "sign-in without an address": ({**SIGNIN, "public_url": None}, "error: signin_issuer: CDS_PUBLIC_URL is not set"),
    "sign-in without TLS": ({**SIGNIN, "host": "10.0.0.1"}, "error: signin_issuer: CDS_PUBLIC_URL is not https"),
    "sign-in by plain http": (
        {**SIGNIN, "signin_issuer": "http://127.0.0.1:1", "host": "10.0.0.1"},
        "who people are comes by plain http",
    ),
    "sign-in without a secret": (SIGNIN, "warning: signin_client_secret_file is not set"),
    "open hooks": ({"jwt_issuers": {}}, "CDS Hooks are open"),
    "keys by http": ({"jwt_issuers": {"https://e": "http://e/jwks"}}, "comes by plain http"),
    "no retention": ({"retention_days": {"films": 1}}, "reports, cases, cards, audit are kept for ever"),
    "packaged identity": ({"config_dir": None}, "the identity table is the packaged example"),
    "origin without https": ({"cors_origins": ("http://ehr.example",)}, "an origin without https"),
    "a wide proxy": ({"trusted_proxy": "10.0.0.0/8"}, "every machine there is believed"),
}


@pytest.mark.parametrize(("changes", "message"), UNSAFE.values(), ids=UNSAFE.keys())
def test_what_is_unsafe_is_told(make_service: Any, changes: dict[str, Any], message: str) -> None:
    assert any(message in line for line in told(make_service(**changes)))


def test_files_that_others_may_read_or_change_are_told(make_service: Any, tmp_path: Path) -> None:
    service = make_service()
    (tmp_path / "data.key").chmod(0o644)
    (tmp_path / "site" / "identity.yaml").chmod(0o666)
    lines = told(service)
    assert any("data.key can be read by others" in line for line in lines)
    assert any("identity.yaml can be changed by others" in line for line in lines)


def test_a_key_beside_what_it_protects_is_told(make_service: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    key = tmp_path / "data" / "data.key"
    key.write_text(secrets.token_bytes(32).hex())
    key.chmod(0o600)
    assert any("lies in the data folder" in line for line in told(make_service(encryption_key_file=key)))


def test_a_clock_that_was_set_back_and_a_broken_trail_are_told(make_service: Any, tmp_path: Path) -> None:
    service = make_service(encryption_key_file=None)
    file = f"sqlite:///{tmp_path}/data/audit.sqlite3"
    ahead = AuditTrail(Database(file), service.keyring.key, clock=lambda: datetime.now(UTC) + timedelta(days=1))
    ahead.record(Access("ward", "read", "x"))
    assert any("the clock is behind" in line for line in told(service))
    ahead.database.close()
    service.audit.record(Access("ward", "read", "x"))
    assert any("the clock was set back before entry 2" in line for line in told(service))
    with service.audit.database.writing() as session:
        session.connection().exec_driver_sql("DROP TRIGGER no_delete")
        session.connection().exec_driver_sql("DELETE FROM entry WHERE seq = 1")
    assert any(line.startswith("error: audit trail, entry 2") for line in told(service))


def test_the_doctor_asks_the_provider(make_service: Any, free_port: int) -> None:
    provider = OpenIdProvider()
    service = make_service(signin_issuer=provider.issuer, signin_client_id="roentgen", public_url="https://cds.example")
    service.models = Quiet()
    provider.metadata = {"end_session_endpoint": None}
    lines = [f"{finding.level}: {finding.message}" for finding in examine(service) if finding.subject == "sign-in"]
    assert any("register https://cds.example/signin/callback there" in line for line in lines)
    assert any("offers no sign-out" in line for line in lines)
    provider.close()
    away = make_service(signin_issuer=f"http://127.0.0.1:{free_port}", signin_client_id="roentgen")
    away.models = Quiet()
    (said,) = [finding for finding in examine(away) if finding.subject == "sign-in"]
    assert (said.level, "does not answer" in said.message) == ("error", True)


def test_the_doctor_prints_it(make_service: Any) -> None:
    service = make_service(retention_days={})
    service.models = Quiet()  # type: ignore[assignment]
    found = [finding for finding in examine(service) if finding.subject == "security"]
    assert any("no retention policy" in finding.message for finding in found)
    assert any(finding.level == "ok" for finding in found)


class Quiet:
    """Models that need not be loaded to be examined."""

    def status(self) -> list[dict[str, str]]:
        return []

    def cut_offs(self) -> list[dict[str, str]]:
        return []
