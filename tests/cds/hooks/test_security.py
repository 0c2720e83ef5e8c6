"""Attacks on the hooks, each refused: wrong tokens, and requests that would be sent elsewhere."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc.jwk import ECKey

from cds.api import create_app
from cds.hooks.addresses import pin
from cds.hooks.errors import AddressRefusedError, TokenError
from cds.hooks.fetching import FhirFetcher
from cds.hooks.keysets import KeySets
from cds.hooks.tokens import TokenVerifier
from cds.service import Service
from cds.store.tables import ReplayRow
from tests.cds.hooks.builders import bundle, call, patient
from tests.cds.hooks.ehr import BASE, Ehr
from tests.cds.hooks.fake_fhir import FakeFhir, Reply
from tests.cds.security.certificates import self_signed

PATH = "/cds-services"
RISK = "/cds-services/chest-imaging-risk"


def status(client: TestClient, token: str) -> int:
    return client.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part(header)}.{part(claims)}."


def good_claims(ehr: Ehr) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": ehr.issuer, "aud": f"{BASE}{PATH}", "iat": now, "exp": now + 60, "jti": "once"}


def test_an_unsigned_token_is_refused(signed_client: TestClient, ehr: Ehr) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        token = unsigned({"alg": algorithm, "typ": "JWT", "kid": "ec"}, good_claims(ehr))
        assert status(signed_client, token) == 401
        assert status(signed_client, token.rstrip(".")) == 401


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_public_key_is_no_shared_secret(signed_client: TestClient, ehr: Ehr, algorithm: str) -> None:
    for key in ehr.keys.values():
        for secret in (key.as_pem(private=False), json.dumps(key.as_dict(private=False)).encode()):
            signed = unsigned({"alg": algorithm, "typ": "JWT", "kid": key.kid}, good_claims(ehr)).rstrip(".")
            mac = hmac.new(secret, signed.encode(), algorithm.replace("HS", "sha")).digest()
            assert status(signed_client, f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}") == 401


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS384"])
def test_other_algorithms_of_a_known_key_are_refused(signed_client: TestClient, ehr: Ehr, algorithm: str) -> None:
    assert status(signed_client, ehr.token(PATH, algorithm=algorithm, key=ehr.keys["RS384"])) == 401


def test_a_key_of_the_wrong_kind_or_a_stranger_is_refused(signed_client: TestClient, ehr: Ehr) -> None:
    stranger = ECKey.generate_key("P-384", {"kid": "ec"})
    confused = ehr.token(PATH, header={"kid": "rsa"})
    assert status(signed_client, ehr.token(PATH, key=stranger)) == 401
    assert status(signed_client, confused) == 401
    assert status(signed_client, ehr.token(PATH, header={"kid": "unheard-of"})) == 401


def test_a_key_that_comes_with_the_token_is_not_believed(signed_client: TestClient, ehr: Ehr) -> None:
    stranger = ECKey.generate_key("P-384", {"kid": "stranger"})
    header = {"jwk": stranger.as_dict(private=False), "x5u": "https://stranger.example/c.pem"}
    assert status(signed_client, ehr.token(PATH, key=stranger, header=header)) == 401


def test_a_foreign_jku_is_refused_and_never_called(make_service: Any, ehr: Ehr, fhir: FakeFhir) -> None:
    fhir.replies["/good"] = Reply(json.loads(ehr.keys_file.read_text()))
    client = TestClient(create_app(make_service(jwt_issuers={ehr.issuer: f"{fhir.url}/good"})))
    assert status(client, ehr.token(PATH, header={"jku": f"{fhir.url}/evil"})) == 401
    assert status(client, ehr.token(PATH, header={"jku": f"{fhir.url}/good"})) == 200
    assert status(client, ehr.token(PATH)) == 200
    assert set(fhir.paths) == {"/good"}


@pytest.mark.parametrize("audience", [f"{BASE}{RISK}", "https://other.example/cds-services", f"{BASE}{PATH}/", [], 7])
def test_a_token_for_another_audience_is_refused(signed_client: TestClient, ehr: Ehr, audience: Any) -> None:
    assert status(signed_client, ehr.token(PATH, aud=audience)) == 401


def test_the_audience_is_not_taken_from_the_host_header(signed_client: TestClient, ehr: Ehr) -> None:
    headers = {**ehr.signed(PATH, aud="https://evil.example/cds-services"), "Host": "evil.example"}
    assert signed_client.get(PATH, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "times",
    [
        {"exp": int(time.time()) - 120},
        {"iat": int(time.time()) + 600},
        {"nbf": int(time.time()) + 600},
        {"nbf": "tomorrow"},
        {"exp": int(time.time()) + 10**6},
        {"exp": "9999999999"},
        {"exp": True},
        {"iat": -1},
    ],
)
def test_a_token_out_of_its_time_is_refused(signed_client: TestClient, ehr: Ehr, times: dict[str, Any]) -> None:
    assert status(signed_client, ehr.token(PATH, **times)) == 401


def test_a_token_cannot_be_replayed_in_another_process(make_service: Any, ehr: Ehr) -> None:
    issuers = {ehr.issuer: str(ehr.keys_file)}
    first, second = (TestClient(create_app(make_service(jwt_issuers=issuers))) for _ in range(2))
    token = ehr.token(PATH)
    assert (status(first, token), status(second, token), status(first, token)) == (200, 401, 401)


def test_the_same_id_of_two_issuers_is_two_tokens(make_service: Any, ehr: Ehr, tmp_path: Path) -> None:
    other = Ehr(tmp_path / "other.json", "https://other.example")
    issuers = {e.issuer: str(e.keys_file) for e in (ehr, other)}
    client = TestClient(create_app(make_service(jwt_issuers=issuers)))
    assert status(client, ehr.token(PATH, jti="same")) == 200
    assert status(client, other.token(PATH, jti="same")) == 200
    assert status(client, ehr.token(PATH, iss=other.issuer)) == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b", "Bearer !.!.!", "Bearer " + "a" * 9000, "Bearer e30.e30."],
)
def test_a_malformed_authorization_is_401(signed_client: TestClient, header: str) -> None:
    assert signed_client.get(PATH, headers={"Authorization": header}).status_code == 401


def test_a_refused_token_says_nothing_and_its_reason_is_in_the_log(
    signed_client: TestClient, ehr: Ehr, capsys: pytest.CaptureFixture[str]
) -> None:
    token = ehr.token(PATH, aud="x")
    assert status(signed_client, token) == 401
    logged = capsys.readouterr()
    assert "audience_wrong" in logged.out + logged.err
    assert token not in logged.out + logged.err


def test_weak_and_private_entries_of_a_key_set_are_passed_over(tmp_path: Path) -> None:
    small = {"kty": "RSA", "kid": "small", "e": "AQAB", "n": base64.urlsafe_b64encode(b"\x81" * 128).decode()}
    wrong_curve = ECKey.generate_key("P-256", {"kid": "p256"})
    encrypting = {**ECKey.generate_key("P-384", {"kid": "enc"}).as_dict(private=False), "use": "enc"}
    symmetric = {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}
    entries = [small, wrong_curve.as_dict(private=False), encrypting, symmetric, "text", {}]
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": entries}))
    keysets = KeySets({"i": str(file)})
    for kid in ("small", "p256", "enc", "oct"):
        for algorithm in ("ES384", "RS384"):
            assert asyncio.run(keysets.key("i", kid, algorithm)) is None


def test_keys_rotate_without_a_restart_and_cannot_be_fetched_at_will(ehr: Ehr) -> None:
    now = [1000.0]
    keysets = KeySets({ehr.issuer: str(ehr.keys_file)}, clock=lambda: now[0])
    assert asyncio.run(keysets.key(ehr.issuer, "ec", "ES384")) is not None
    ehr.keys["ES384"] = ECKey.generate_key("P-384", {"kid": "next"})
    ehr.publish()
    assert asyncio.run(keysets.key(ehr.issuer, "next", "ES384")) is None
    now[0] += 61
    assert asyncio.run(keysets.key(ehr.issuer, "next", "ES384")) is not None
    assert asyncio.run(keysets.key(ehr.issuer, "ec", "ES384")) is None


def test_a_key_set_may_lie_at_an_address_of_the_hospitals_own_authority(
    ehr: Ehr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(ehr.keys_file.parent))) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = {ehr.issuer: f"https://localhost:{server.server_port}/{ehr.keys_file.name}"}
        try:
            assert asyncio.run(KeySets(address).key(ehr.issuer, "ec", "ES384")) is None
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            assert asyncio.run(KeySets(address).key(ehr.issuer, "ec", "ES384")) is not None
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_the_last_key_set_stays_in_use_while_its_address_fails(ehr: Ehr) -> None:
    now = [1000.0]
    keysets = KeySets({ehr.issuer: str(ehr.keys_file)}, clock=lambda: now[0])
    assert asyncio.run(keysets.key(ehr.issuer, "ec", "ES384")) is not None
    ehr.keys_file.unlink()
    now[0] += 4000
    assert asyncio.run(keysets.key(ehr.issuer, "ec", "ES384")) is not None


@pytest.mark.parametrize(
    ("server", "hosts", "addresses", "code"),
    [
        ("https://evil.example/r4", ("ehr.example",), ["8.8.8.8"], "host_not_allowed"),
        ("https://ehr.example:8443/r4", ("ehr.example",), ["8.8.8.8"], "host_not_allowed"),
        ("https://ehr.example.evil.example", ("ehr.example",), ["8.8.8.8"], "host_not_allowed"),
        ("https://user@ehr.example", ("ehr.example",), ["8.8.8.8"], "server_malformed"),
        ("https://ehr.example?x=1", ("ehr.example",), ["8.8.8.8"], "server_malformed"),
        ("ftp://ehr.example", ("ehr.example",), ["8.8.8.8"], "server_malformed"),
        ("http://ehr.example", ("ehr.example",), ["8.8.8.8"], "https_required"),
        ("https://ehr.example", ("ehr.example",), [], "address_not_allowed"),
        ("https://ehr.example", ("ehr.example",), ["8.8.8.8", "10.0.0.1"], "address_not_allowed"),
        *(
            ("https://ehr.example", ("ehr.example",), [address], "address_not_allowed")
            for address in (
                "127.0.0.1",
                "10.1.2.3",
                "172.16.0.1",
                "192.168.1.1",
                "169.254.169.254",
                "100.64.0.1",
                "0.0.0.0",  # noqa: S104
                "224.0.0.1",
                "::1",
                "::",
                "fe80::1",
                "fc00::1",
                "::ffff:127.0.0.1",
                "::ffff:169.254.169.254",
                "64:ff9b::7f00:1",
                "2002:7f00:1::",
            )
        ),
    ],
)
def test_servers_and_addresses_that_are_not_allowed_are_not_called(
    server: str, hosts: tuple[str, ...], addresses: list[str], code: str
) -> None:
    async def resolver(_: str, __: int) -> list[str]:
        return addresses

    with pytest.raises(AddressRefusedError) as refused:
        asyncio.run(pin(server, hosts=hosts, private=False, resolver=resolver))
    assert refused.value.code == code


def test_private_addresses_need_the_setting_and_metadata_addresses_are_never_called() -> None:
    async def resolver(host: str, _: int) -> list[str]:
        return [host]

    def address_of(host: str) -> str:
        return asyncio.run(pin(f"https://{host}", hosts=(host,), private=True, resolver=resolver)).address

    assert address_of("10.1.2.3") == "10.1.2.3"
    with pytest.raises(AddressRefusedError):
        address_of("169.254.169.254")


def test_a_name_is_resolved_once_and_the_checked_address_is_called() -> None:
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    seen: list[httpx.Request] = []

    async def resolver(_: str, __: int) -> list[str]:
        return next(answers)

    async def body() -> AsyncIterator[bytes]:
        yield json.dumps(patient()).encode()

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=body())

    fetcher = FhirFetcher(
        ("ehr.example",), private=False, budget_ms=1000, transport=httpx.MockTransport(reply), resolver=resolver
    )
    got = asyncio.run(fetcher.fetch("https://ehr.example/r4", "t", {"patient": "Patient/p1"}))
    assert got["patient"].problem is None
    assert seen[0].url == "https://93.184.216.34/r4/Patient/p1"
    assert seen[0].headers["host"] == "ehr.example"
    assert seen[0].extensions["sni_hostname"] == "ehr.example"


@pytest.mark.parametrize(
    "server", ["https://169.254.169.254/latest", "http://127.0.0.1:8000", "https://evil.example/r4"]
)
def test_a_server_that_is_not_listed_gets_no_request(make_service: Any, server: str) -> None:
    client = TestClient(create_app(make_service(fhir_hosts=("ehr.example",))))
    response = client.post(RISK, json=call(fhirServer=server))
    reasons = {entry["reason"] for entry in response.json()["extension"]["org.roentgen-cds.missing"]}
    assert reasons == {"host_not_allowed"}


@pytest.mark.parametrize(
    "server", ["file:///etc/passwd", "gopher://x", "https://", "//x", "https://a b", "https://u:p@h/"]
)
def test_a_server_that_is_no_web_address_is_refused_as_malformed(make_service: Any, server: str) -> None:
    client = TestClient(create_app(make_service()))
    assert client.post(RISK, json=call(fhirServer=server)).status_code == 400


def _missing(response: httpx.Response) -> dict[str, str]:
    return {e["prefetch"]: e["reason"] for e in response.json()["extension"]["org.roentgen-cds.missing"]}


def test_next_links_that_leave_the_server_are_not_followed(fetching_client: TestClient, fhir: FakeFhir) -> None:
    other = FakeFhir()
    try:
        pages = bundle(next_page=f"{other.url}/steal")
        response = fetching_client.post(RISK, json=call(fhirServer=fhir.url, prefetch={"vitals": pages}))
        fhir.replies["/Condition"] = Reply(pages)
        fetched = fetching_client.post(RISK, json=call(fhirServer=fhir.url))
    finally:
        other.close()
    assert _missing(response)["vitals"] == "link_leaves_server"
    assert _missing(fetched)["conditions"] == "link_leaves_server"
    assert other.asked == []


def test_redirects_are_not_followed(fetching_client: TestClient, fhir: FakeFhir) -> None:
    fhir.replies["/Condition"] = Reply(status=302, headers={"Location": f"{fhir.url}/elsewhere"})
    response = fetching_client.post(RISK, json=call(fhirServer=fhir.url))
    assert _missing(response)["conditions"] == "http_302"
    assert "/elsewhere" not in fhir.paths


def test_pages_without_end_are_cut(fetching_client: TestClient, fhir: FakeFhir) -> None:
    fhir.replies["/Condition"] = Reply(bundle(next_page=f"{fhir.url}/Condition"))
    response = fetching_client.post(RISK, json=call(fhirServer=fhir.url))
    assert _missing(response)["conditions"] == "too_many"
    assert len([path for path in fhir.paths if path.startswith("/Condition")]) == 5


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(b"x" * (9 * 1024 * 1024)), "too_large"),
        (Reply(b"not json"), "not_fhir"),
        (Reply(b"[" * 5000 + b"]" * 5000), "not_fhir"),
        (Reply(b"[]"), "not_fhir"),
        (Reply(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), "not_fhir"),
        (Reply({"resourceType": "OperationOutcome"}), "operation_outcome"),
        (Reply(status=500), "http_500"),
    ],
)
def test_a_server_that_lies_or_fails_is_named(
    fetching_client: TestClient, fhir: FakeFhir, reply: Reply, reason: str
) -> None:
    fhir.replies["/Condition"] = reply
    response = fetching_client.post(RISK, json=call(fhirServer=fhir.url))
    assert response.status_code == 200
    assert _missing(response)["conditions"] == reason


@pytest.mark.parametrize("identifier", ["..", ".", "a/b", "a?b", "a b", "a#b", "%2e%2e", "", "é", "a\n"])
def test_an_id_that_would_change_an_address_is_refused(make_service: Any, identifier: str) -> None:
    client = TestClient(create_app(make_service()))
    assert client.post(RISK, json=call(context_changes={"patientId": identifier})).status_code == 400


# clocks


class Clocks:
    """The wall clock of a test, which may jump, and the one that never does; the tokens are of the wall clock."""

    def __init__(self, service: Service, ehr: Ehr) -> None:
        self.wall, self.steady = time.time(), 0.0
        self._ehr = ehr
        issuers = {ehr.issuer: str(ehr.keys_file)}
        self._verifier = TokenVerifier(
            issuers, BASE, lambda: service.database, clock=lambda: self.wall, steady=lambda: self.steady
        )

    def pass_by(self, seconds: float) -> None:
        self.wall, self.steady = self.wall + seconds, self.steady + seconds

    def token(self) -> str:
        return self._ehr.token(PATH, iat=int(self.wall), exp=int(self.wall) + 60)

    def use(self, token: str) -> str:
        """Return what becomes of a token."""
        try:
            asyncio.run(self._verifier.issuer_of(f"Bearer {token}", PATH))
        except TokenError as error:
            return error.code
        return "taken"


@pytest.mark.parametrize("used_meanwhile", [False, True])
def test_a_token_is_not_replayed_after_the_clock_was_set_back(service: Service, ehr: Ehr, used_meanwhile: bool) -> None:
    clocks = Clocks(service, ehr)
    at, token = clocks.wall, clocks.token()
    assert (clocks.use(token), clocks.use(token)) == ("taken", "replayed")
    clocks.pass_by(3 * 3600)
    if used_meanwhile:
        assert clocks.use(clocks.token()) == "taken"
        with service.database.reading() as session:
            assert session.query(ReplayRow).count() == 2, "the first is forgotten, and that it is"
    clocks.wall = at + 5
    assert clocks.use(token) == ("forgotten" if used_meanwhile else "replayed")
    assert Clocks(service, ehr).use(token) == ("forgotten" if used_meanwhile else "replayed"), "nor after a restart"


def test_a_clock_that_jumps_ahead_and_comes_back_neither_forgets_nor_refuses(service: Service, ehr: Ehr) -> None:
    clocks = Clocks(service, ehr)
    clocks.pass_by(2 * 3600)
    token = clocks.token()
    assert clocks.use(token) == "taken"
    clocks.wall += 86_400
    assert clocks.use(clocks.token()) == "taken"
    clocks.wall -= 86_400
    assert (clocks.use(token), clocks.use(clocks.token())) == ("replayed", "taken")
