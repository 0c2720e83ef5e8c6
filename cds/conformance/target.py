"""The server under test: discovery, calls and feedback, each with a fresh token where credentials are given."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from cds.conformance.examples import request_for
from cds.conformance.model import CannotSeeError

if TYPE_CHECKING:
    from cds.conformance.fetching import Probe

Json = dict[str, Any]
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Credentials:
    """Who the kit is: an issuer that the server knows, and the private key (JWK) whose public half it has."""

    issuer: str
    key: Json = field(repr=False)

    @property
    def algorithm(self) -> str:
        return "RS384" if self.key.get("kty") == "RSA" else "ES384"

    def token(self, audience: str, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """Return a signed token for one call; `header` and `claims` replace, and None leaves out."""
        key = RSAKey.import_key(self.key) if self.key.get("kty") == "RSA" else ECKey.import_key(self.key)
        now = int(time.time())
        content = {
            "iss": self.issuer,
            "aud": audience,
            "iat": now,
            "exp": now + 120,
            "jti": str(uuid.uuid4()),
            **claims,
        }
        head = {"alg": self.algorithm, "typ": "JWT", "kid": self.key.get("kid"), **(header or {})}
        return jws.serialize_compact(_present(head), json.dumps(_present(content)), key, algorithms=[head["alg"]])


@dataclass(frozen=True)
class Called:
    """A service that was called with an example, and what it answered."""

    service: Json
    request: Json
    response: httpx.Response

    @property
    def name(self) -> str:
        return f"{self.service.get('id')} on {self.service.get('hook')}"

    @property
    def body(self) -> Json:
        return object_of(self.response)

    @property
    def cards(self) -> list[Json]:
        cards = self.body.get("cards")
        return [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []


class Target:
    """A CDS server by its base URL.

    requests  complete requests to send besides the made ones, so that cards can be seen
    probe     a FHIR server of the kit that the server may call
    """

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        credentials: Credentials | None = None,
        requests: Sequence[Json] = (),
        probe: Probe | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.probe = probe
        self.credentials = credentials
        self.client = client
        self._given = requests

    def get(self, path: str, *, token: str | None = None) -> httpx.Response:
        return self.client.get(self.url + path, headers=self._authorization(path, token))

    def post(self, path: str, body: Any, *, token: str | None = None) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(self.url + path, content=content, headers={**_JSON, **self._authorization(path, token)})

    def _authorization(self, path: str, token: str | None) -> dict[str, str]:
        if token is None and self.credentials is not None:
            token = self.credentials.token(self.url + path)
        return {"Authorization": f"Bearer {token}"} if token else {}

    @cached_property
    def discovery(self) -> httpx.Response:
        return self.get("/cds-services")

    @cached_property
    def services(self) -> list[Json]:
        """The services of discovery that can be called."""
        listed = object_of(self.discovery).get("services")
        services = [s for s in listed if isinstance(s, dict)] if isinstance(listed, list) else []
        return [s for s in services if isinstance(s.get("id"), str) and isinstance(s.get("hook"), str)]

    @cached_property
    def calls(self) -> list[Called]:
        """Every service called once with a made request, and with each given request of its hook."""
        return list(self._calls())

    def _calls(self) -> Iterator[Called]:
        for service in self.services:
            made = request_for(service)
            given = [request for request in self._given if request.get("hook") == service["hook"]]
            for request in [*([made] if made else []), *given]:
                sent = {**request, "hookInstance": str(uuid.uuid4())}
                yield Called(service, sent, self.post(f"/cds-services/{service['id']}", sent))

    def example(self) -> tuple[str, Json]:
        """Return path and request of a service that answers with 200."""
        for called in self.calls:
            if called.response.status_code == httpx.codes.OK:
                return f"/cds-services/{called.service['id']}", {**called.request, "hookInstance": str(uuid.uuid4())}
        raise CannotSeeError("no service answered a call with 200")

    def cards(self) -> list[tuple[str, Json]]:
        """Return every card that was answered, each with the name of its service."""
        found = [(called.name, card) for called in self.calls for card in called.cards]
        if not found:
            raise CannotSeeError("no card was answered; give requests that make the services speak")
        return found


def object_of(response: httpx.Response) -> Json:
    """Return the JSON object in a response, or an empty one."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _present(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if value is not None}
