"""The edges of the service: rates, TLS, origins and headers."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from cds.api import create_app
from cds.api.rates import Buckets
from cds.operating.serving import http_server
from cds.service import Service
from cds.settings import Settings
from tests.cds.security.certificates import self_signed

KEY, OTHER = "the-key-of-the-ward-1", "the-key-of-the-lab-12"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def make_client(tmp_path: Path) -> Any:
    def make(**settings: Any) -> TestClient:
        service = Service(Settings(data_dir=tmp_path / "data", api_keys={"ward": KEY, "lab": OTHER}, **settings))
        service.database.migrate()
        return TestClient(create_app(service), raise_server_exceptions=False)

    return make


def test_a_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    now = [0.0]
    buckets = Buckets(rate=2, burst=3, clock=lambda: now[0])
    assert [buckets.take(b"a") for _ in range(3)] == [0, 0, 0]
    assert buckets.take(b"a") == pytest.approx(0.5)
    assert buckets.take(b"b") == 0
    now[0] += 0.5
    assert buckets.take(b"a") == 0
    assert buckets.take(b"a") > 0
    now[0] += 1000
    assert [buckets.take(b"a") > 0 for _ in range(4)] == [False, False, False, True]


def test_processes_that_share_a_folder_share_the_buckets(tmp_path: Path) -> None:
    one, other = (Buckets(rate=1, burst=4, file=tmp_path / "clients", clock=lambda: 9.0) for _ in range(2))
    assert [bucket.take(b"a") for bucket in (one, other, one, other)] == [0, 0, 0, 0]
    assert one.take(b"a") == other.take(b"a") == pytest.approx(1)
    assert Buckets(rate=1, burst=4, file=tmp_path / "clients", clock=lambda: 9.0).take(b"a") > 0


def test_a_flood_of_made_up_clients_takes_nothing_from_another() -> None:
    buckets = Buckets(rate=1, burst=4, clock=lambda: 9.0)
    for number in range(20_000):
        buckets.take(b"made up %d" % number)
    assert buckets.take(b"a client") == 0


def test_a_client_that_asks_too_much_is_told_when_to_come_back_and_others_go_on(make_client: Any) -> None:
    client = make_client(requests_per_second=0.01, requests_burst=3)
    answers = [client.get("/api/v1/models", headers=bearer(KEY)) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert answers[-1].headers["content-type"] == "application/problem+json"
    assert client.get("/api/v1/models", headers=bearer(OTHER)).is_success
    assert client.get("/health/live").is_success


def test_guessing_keys_is_bounded_by_address(make_client: Any) -> None:
    client = make_client(requests_per_second=0.01, requests_burst=1)
    statuses = [client.get("/", headers=bearer(f"guess-number-{number:06d}")).status_code for number in range(11)]
    assert statuses == [401] * 10 + [429]


def test_a_hook_call_that_is_throttled_gets_an_operation_outcome(make_client: Any) -> None:
    client = make_client(requests_per_second=0.01, requests_burst=1)
    token = {"Authorization": "Bearer a.b.c"}
    client.post("/cds-services/imaging-order-advisor", json={}, headers=token)
    answer = client.post("/cds-services/imaging-order-advisor", json={}, headers={"Authorization": "Bearer d.e.f"})
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (429, "throttled")


@pytest.mark.parametrize("origin", ["*", "https://*.example", "https://ehr/", "ehr.example", "https://a; script-src *"])
@pytest.mark.parametrize("setting", ["cors_origins", "frame_ancestors"])
def test_origins_are_named_in_full(setting: str, origin: str) -> None:
    with pytest.raises(ValidationError):
        Settings(**{setting: (origin,)})


def test_only_named_origins_may_read_answers(make_client: Any) -> None:
    client = make_client(cors_origins=("https://ehr.example",))
    ask = {"Access-Control-Request-Method": "POST"}
    allowed = client.options("/cds-services", headers={"Origin": "https://ehr.example", **ask})
    assert allowed.headers["access-control-allow-origin"] == "https://ehr.example"
    assert "access-control-allow-credentials" not in allowed.headers
    for origin in ("https://evil.example", "https://ehr.example.evil.example", "null", "http://ehr.example"):
        assert "access-control-allow-origin" not in client.get("/cds-services", headers={"Origin": origin}).headers


def test_every_answer_carries_the_headers_that_browsers_need(make_client: Any) -> None:
    client = make_client(public_url="https://cds.example")
    for path in ("/", "/api/v1/studies", "/cds-services", "/none"):
        headers = client.get(path, headers=bearer(KEY)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] in ("no-store", "private, no-cache")
        assert headers["strict-transport-security"].startswith("max-age=")
        assert "server" not in headers


def _handshake(port: int, version: ssl.TLSVersion, ciphers: str | None = None) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain) as secure:
        return secure.version()


@pytest.mark.parametrize(("minimum", "spoken"), [("1.2", {"TLSv1.2", "TLSv1.3"}), ("1.3", {"TLSv1.3"})])
def test_old_tls_and_ciphers_without_forward_secrecy_are_refused(
    tmp_path: Path, free_port: int, minimum: Any, spoken: set[str]
) -> None:
    certificate, key = self_signed(tmp_path)
    service = Service(
        Settings(
            data_dir=tmp_path / "data", port=free_port, tls_certificate=certificate, tls_key=key, tls_minimum=minimum
        )
    )
    service.database.migrate()
    service.warm_up = lambda: None  # type: ignore[method-assign]
    server = http_server(service)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        assert {_handshake(free_port, getattr(ssl.TLSVersion, name.replace(".", "_"))) for name in spoken} == spoken
        if minimum == "1.3":
            with pytest.raises((ssl.SSLError, OSError)):
                _handshake(free_port, ssl.TLSVersion.TLSv1_2)
        else:
            with pytest.raises((ssl.SSLError, OSError)):
                _handshake(free_port, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256")
    finally:
        server.should_exit = True
        thread.join(10)
        service.close()
