"""SMART Backend Services as a client: a token of our own, asked for once, of listed servers only."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from cds.errors import ConfigurationError
from cds.hooks.backend import BackendTokens, ClientKey
from cds.hooks.fetching import FhirFetcher
from cds.service import Service
from cds.settings import Settings
from tests.cds.hooks.builders import patient
from tests.cds.hooks.ehr import rsa_key

BASE, LOGIN = "https://ehr.example/r4", "https://login.ehr.example/token"
HOSTS = ("ehr.example", "login.ehr.example")


@pytest.fixture(params=["ES384", "RS384"])
def key(request: pytest.FixtureRequest, tmp_path: Path) -> ClientKey:
    made = rsa_key() if request.param == "RS384" else ECKey.generate_key("P-384", {"kid": "ours"})
    return written(tmp_path, made)


def written(folder: Path, made: Any) -> ClientKey:
    file = folder / "client.jwk"
    file.write_text(json.dumps(made.as_dict(private=True)))
    return ClientKey(file)


class Provider:
    """A FHIR server with an authorization server; `answers` changes what the latter says."""

    def __init__(self, key: ClientKey, **answers: Any) -> None:
        self.seen: list[httpx.Request] = []
        self.key = key
        self.token = {"access_token": "granted-token", "token_type": "Bearer", "expires_in": 300, **answers}
        self.endpoint = LOGIN

    def reply(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        host, path = request.headers["host"], request.url.path
        if path.endswith("smart-configuration"):
            return httpx.Response(200, content=stream({"token_endpoint": self.endpoint}))
        if host == "login.ehr.example":
            return httpx.Response(200, content=stream(self.token))
        if request.headers.get("authorization") != "Bearer granted-token":
            return httpx.Response(401)
        return httpx.Response(200, content=stream(patient()))

    def fetcher(self, hosts: tuple[str, ...] = HOSTS, clock: Callable[[], float] = time.monotonic) -> FhirFetcher:
        async def resolver(_: str, __: int) -> list[str]:
            return ["93.184.216.34"]

        return FhirFetcher(
            hosts,
            private=False,
            budget_ms=5000,
            transport=httpx.MockTransport(self.reply),
            resolver=resolver,
            backend=BackendTokens({BASE: "roentgen"}, self.key, clock=clock),
        )

    def asked(self) -> list[httpx.Request]:
        return [request for request in self.seen if request.headers["host"] == "login.ehr.example"]


async def stream(document: Any) -> Any:
    yield json.dumps(document).encode()


def fetched(fetcher: FhirFetcher, token: str | None = None, server: str = BASE) -> str | None:
    return asyncio.run(fetcher.fetch(server, token, {"patient": "Patient/p1"}))["patient"].problem


def test_prefetch_is_fetched_with_a_token_that_our_key_asked_for(key: ClientKey) -> None:
    provider = Provider(key)
    assert fetched(provider.fetcher()) is None
    (asked,) = provider.asked()
    form = {name: values[0] for name, values in parse_qs(asked.content.decode()).items()}
    assert asked.url.host == "93.184.216.34"
    assert (form["grant_type"], form["scope"]) == ("client_credentials", "system/*.rs")
    public = key.public_set()["keys"][0]
    verifier = (ECKey if public["kty"] == "EC" else RSAKey).import_key(public)
    signed = jws.deserialize_compact(form["client_assertion"], verifier, algorithms=[key.algorithm])
    claims = json.loads(signed.payload)
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("roentgen", "roentgen", LOGIN)
    assert 0 < claims["exp"] - time.time() <= 300
    assert signed.headers()["kid"] == key.kid
    assert "d" not in public


def test_a_token_that_the_hook_brings_is_used_and_none_is_asked_for(key: ClientKey) -> None:
    provider = Provider(key)
    assert fetched(provider.fetcher(), token="granted-token") is None
    assert provider.asked() == []


def test_a_token_is_kept_until_shortly_before_it_expires(key: ClientKey) -> None:
    now = [0.0]
    provider = Provider(key)
    fetcher = provider.fetcher(clock=lambda: now[0])

    async def thrice() -> None:
        for at in (0.0, 260.0, 280.0):
            now[0] = at
            await fetcher.fetch(BASE, None, {"patient": "Patient/p1"})

    asyncio.run(thrice())
    assert len(provider.asked()) == 2


def test_a_server_where_we_are_not_registered_gets_no_token(key: ClientKey) -> None:
    provider = Provider(key)
    assert fetched(provider.fetcher(), server="https://ehr.example/other") == "http_401"
    assert provider.asked() == []


def test_a_token_endpoint_that_is_not_listed_is_never_called(key: ClientKey) -> None:
    provider = Provider(key)
    assert fetched(provider.fetcher(hosts=("ehr.example",))) == "http_401"
    provider.endpoint = "https://169.254.169.254/token"
    assert fetched(provider.fetcher()) == "http_401"
    assert provider.asked() == []


@pytest.mark.parametrize(
    "answers", [{"access_token": None}, {"token_type": "mac"}, {"access_token": {"a": 1}}, {"expires_in": "x"}]
)
def test_a_strange_answer_is_no_token(key: ClientKey, answers: dict[str, Any]) -> None:
    assert fetched(Provider(key, **answers).fetcher()) == "http_401"


@pytest.mark.parametrize(
    "made",
    [
        OctKey.import_key("a secret that is long enough to be one"),
        ECKey.generate_key("P-256", {"kid": "x"}),
        ECKey.generate_key("P-384"),
    ],
)
def test_a_key_of_another_kind_is_refused(tmp_path: Path, made: Any) -> None:
    with pytest.raises(ConfigurationError, match="fhir_client_key"):
        written(tmp_path, made)


def test_a_public_key_signs_nothing(tmp_path: Path) -> None:
    (tmp_path / "client.jwk").write_text(json.dumps({**rsa_key().as_dict(private=False), "kid": "x"}))
    with pytest.raises(ConfigurationError, match="private"):
        ClientKey(tmp_path / "client.jwk")


def test_our_public_keys_are_published_and_a_missing_key_is_said(tmp_path: Path) -> None:
    from cds.api import create_app

    written(tmp_path, ECKey.generate_key("P-384", {"kid": "ours"}))
    clients = {BASE: "roentgen"}
    given = Settings(data_dir=tmp_path / "data", fhir_clients=clients, fhir_client_key=tmp_path / "client.jwk")
    (published,) = TestClient(create_app(Service(given))).get("/.well-known/jwks.json").json()["keys"]
    assert (published["kid"], published["alg"], "d" in published) == ("ours", "ES384", False)
    with pytest.raises(ConfigurationError, match="fhir_client_key is not set"):
        create_app(Service(Settings(data_dir=tmp_path / "data", fhir_clients=clients)))
