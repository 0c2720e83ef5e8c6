"""The EHR of the demo: reads what the services ask for, fills their prefetch from a record, signs, and calls them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

from fusion import resources_of

ISSUER = "https://demo-ehr.example"
FHIR_SERVER = f"{ISSUER}/fhir"
_TOKEN_SECONDS = 60
_Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What one service answered."""

    hook: str
    service: str
    seconds: float
    body: _Json


class SigningKey:
    """A key that lives as long as this process; the service learns its public half."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-384", {"kid": str(uuid.uuid4()), "use": "sig", "alg": "ES384"})

    def public_set(self) -> _Json:
        """Return the JSON Web Key Set to verify with."""
        return {"keys": [dict(self._key.as_dict(private=False))]}

    def token(self, audience: str) -> str:
        """Return a token for one call of one address (CDS Hooks 2.0.1, Trusting CDS Clients)."""
        now = int(time.time())
        header = {"alg": "ES384", "typ": "JWT", "kid": self._key.kid}
        claims = {"iss": ISSUER, "aud": audience, "iat": now, "exp": now + _TOKEN_SECONDS, "jti": str(uuid.uuid4())}
        return jwt.encode(header, claims, self._key, algorithms=["ES384"])


class DemoEhr:
    """Calls every service of a hook as an EHR does."""

    def __init__(self, client: httpx.Client, key: SigningKey) -> None:
        self._client = client
        self._key = key

    def call(self, hook: str, record: _Json, context: Mapping[str, Any]) -> list[Reply]:
        """Return the reply of each service offered for a hook.

        record   bundle of the patient, from which the prefetch is filled
        context  hook context besides userId
        """
        services = [s for s in self._get("/cds-services")["services"] if s["hook"] == hook]
        resources = resources_of(record)
        return [self._call(service, resources, dict(context)) for service in services]

    def _call(self, service: _Json, resources: Sequence[_Json], context: _Json) -> Reply:
        request = {
            "hook": service["hook"],
            "hookInstance": str(uuid.uuid4()),
            "fhirServer": FHIR_SERVER,
            "context": {"userId": "Practitioner/demo-physician", **context},
            "prefetch": {key: answer(query, resources) for key, query in service.get("prefetch", {}).items()},
        }
        path = f"/cds-services/{service['id']}"
        started = time.perf_counter()
        response = self._client.post(path, json=request, headers=self._signed(path))
        seconds = time.perf_counter() - started
        response.raise_for_status()
        return Reply(service["hook"], service["id"], seconds, response.json())

    def _get(self, path: str) -> _Json:
        response = self._client.get(path, headers=self._signed(path))
        response.raise_for_status()
        return response.json()  # type: ignore[no-any-return]

    def _signed(self, path: str) -> dict[str, str]:
        audience = str(self._client.base_url).rstrip("/") + path
        return {"Authorization": f"Bearer {self._key.token(audience)}"}


def answer(query: str, resources: Iterable[_Json]) -> _Json | None:
    """Return what a FHIR server holding `resources` answers to a prefetch template: a resource or a searchset."""
    kind, is_search, parameters = query.partition("?")
    if not is_search:
        kind = kind.partition("/")[0]
        return next((resource for resource in resources if resource["resourceType"] == kind), None)
    wanted = dict(parse_qsl(parameters))
    found = [r for r in resources if r["resourceType"] == kind and _matches(r, wanted)]
    entries = [{"fullUrl": f"{FHIR_SERVER}/{kind}/{r['id']}", "resource": r} for r in found]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}


def _matches(resource: _Json, wanted: Mapping[str, str]) -> bool:
    codes = {coding.get("code") for coding in resource.get("code", {}).get("coding", ())}
    categories = {c.get("code") for category in resource.get("category", ()) for c in _codings(category)}
    present = {"code": codes, "category": categories, "status": {resource.get("status")}}
    return all(
        present[name] & {token.rpartition("|")[2] for token in value.split(",")}
        for name, value in wanted.items()
        if name in present
    )


def _codings(concept: Any) -> Sequence[_Json]:
    return concept.get("coding", ()) if isinstance(concept, Mapping) else ()
