"""A small CDS Hooks server that does everything right, except for the one fault it is told to have."""

from __future__ import annotations

import copy
import json
import time
import uuid
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64decode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

ISSUER = "https://kit.example"
Json = dict[str, Any]
SERVICE: Json = {
    "hook": "patient-view",
    "id": "greeter",
    "title": "Greeter",
    "description": "Greets",
    "prefetch": {
        "patient": "Patient/{{context.patientId}}",
        "problems": "Condition?patient={{context.patientId}}&_count=5",
    },
}
ORDERS: Json = {**SERVICE, "hook": "order-sign", "id": "orders"}
CARD: Json = {
    "summary": "Hello",
    "indicator": "info",
    "detail": "A *greeting*.",
    "source": {"label": "Greeter"},
    "selectionBehavior": "at-most-one",
    "suggestions": [
        {
            "label": label,
            "actions": [
                {
                    "type": "create",
                    "description": "Order",
                    "resource": {"resourceType": "ServiceRequest", "status": "draft"},
                },
                {"type": "delete", "description": "Remove", "resourceId": "ServiceRequest/1"},
            ],
        }
        for label in ("One", "Two")
    ],
    "links": [{"label": "More", "url": "https://example.org", "type": "absolute"}],
    "overrideReasons": [{"code": "a", "system": "urn:x", "display": "A"}],
    "extension": {"org.example.note": 1},
}


def _set(path: str, value: Any) -> Any:
    """Return a change of a card: the value at a dotted path, or its removal for None."""

    def change(card: Json) -> None:
        at: Any = card
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in steps:
            at = at[step]
        if value is None:
            del at[last]
        else:
            at[last] = value

    return change


CARD_FAULTS: dict[str, tuple[int, Any]] = {
    "a summary of 140 characters": (19, _set("summary", "x" * 140)),
    "no summary": (19, _set("summary", None)),
    "an unknown indicator": (20, _set("indicator", "success")),
    "a source without label": (20, _set("source", {"url": "https://x.example"})),
    "HTML in detail": (21, _set("detail", "<script>alert(1)</script>")),
    "no selectionBehavior": (22, _set("selectionBehavior", None)),
    "a suggestion without label": (24, _set("suggestions.0.label", None)),
    "an action of another type": (24, _set("suggestions.0.actions.0.type", "replace")),
    "an action without description": (24, _set("suggestions.0.actions.0.description", None)),
    "a create without resource": (25, _set("suggestions.0.actions.0.resource", None)),
    "actionSelectionBehavior": (26, _set("suggestions.0.actionSelectionBehavior", "any")),
    "an override reason without display": (27, _set("overrideReasons.0.display", None)),
    "a relative link": (28, _set("links.0.url", "/more")),
    "appContext on an absolute link": (28, _set("links.0.appContext", "x")),
    "an extension that is text": (42, _set("extension", "text")),
    "a null in a card": (5, _set("source.icon", "")),
}
OTHER_FAULTS: dict[str, int] = {
    "two recommended suggestions": 23,
    "discovery is a list": 1,
    "a service without description": 2,
    "a service twice": 3,
    "a second service replaces the first": 3,
    "an unknown prefetch token": 10,
    "no check of the context": 43,
    "no check of the envelope": 6,
    "an exception becomes an empty list of cards": 18,
    "authorization without server is accepted": 7,
    "authorization is not checked": 8,
    "null prefetch is an error": 13,
    "missing data are a 500": 16,
    "unknown services answer 200": 18,
    "the token is repeated": 9,
    "accepted feedback is refused": 33,
    "feedback is not checked": 32,
    "repeated feedback is refused": 34,
    "overrides are refused": 32,
    "text extension is a 500": 42,
    "plain text": 4,
}
TOKEN_FAULTS: dict[str, int] = {
    "unsigned tokens are accepted": 37,
    "signatures are not checked": 37,
    "the audience is not checked": 36,
    "claims may be missing": 36,
    "expired tokens are accepted": 36,
}


class Faulty:
    """The server; `key` is the public key of its one client, or None where everybody may call."""

    def __init__(self, fault: str | None = None, key: ECKey | None = None) -> None:
        self.fault = fault
        self._key = key
        self._told: set[str] = set()
        self._used: set[str] = set()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/cds-services", self._discover),
                Route("/cds-services/{id}", self._call, methods=["POST"]),
                Route("/cds-services/{id}/feedback", self._feedback, methods=["POST"]),
            ]
        )

    async def _discover(self, request: Request) -> Response:
        if not self._let_in(request):
            return Response(status_code=401)
        services = [copy.deepcopy(SERVICE), copy.deepcopy(ORDERS)]
        if self.fault == "discovery is a list":
            return JSONResponse(services)
        if self.fault == "a service without description":
            del services[0]["description"]
        if self.fault == "a service twice":
            services.append(services[0])
        if self.fault == "an unknown prefetch token":
            services[0]["prefetch"]["patient"] = "Patient/{{userId}}"
        if self.fault == "plain text":
            return PlainTextResponse(json.dumps({"services": services}))
        return JSONResponse({"services": services})

    async def _call(self, request: Request) -> Response:
        if not self._let_in(request):
            return Response(status_code=401)
        body = await request.body()
        if self.fault == "an exception becomes an empty list of cards":
            try:
                json.loads(body)["hook"]
            except (ValueError, KeyError, TypeError):
                return JSONResponse({"cards": []})
        problem = self._problem(request.path_params["id"], body)
        if problem is not None:
            status, path = problem
            token = (
                json.loads(body)["fhirAuthorization"]["access_token"]
                if self.fault == "the token is repeated" and b"access_token" in body
                else ""
            )
            issue = {"severity": "error", "code": "invalid", "diagnostics": path + token}
            return JSONResponse({"resourceType": "OperationOutcome", "issue": [issue]}, status)
        return JSONResponse({"cards": [self._card()]})

    def _problem(self, service: str, body: bytes) -> tuple[int, str] | None:
        known = {"greeter": SERVICE, "orders": ORDERS}
        if service not in known:
            return None if self.fault == "unknown services answer 200" else (404, "id")
        if service == "greeter" and self.fault == "a second service replaces the first":
            return 404, "id"
        try:
            call = json.loads(body)
        except ValueError:
            return 400, "body"
        if not isinstance(call, dict):
            return 400, "body"
        return self._envelope_problem(call, known[service]) or self._data_problem(call)

    def _envelope_problem(self, call: Json, service: Json) -> tuple[int, str] | None:
        if self.fault != "no check of the envelope":
            if call.get("hook") != service["hook"]:
                return 400, "hook"
            if not _is_uuid(call.get("hookInstance")) or not isinstance(call.get("context"), dict):
                return 400, "envelope"
        fields = ("userId", "patientId", *(["draftOrders"] if service["hook"] == "order-sign" else []))
        context = call.get("context") or {}
        if self.fault not in ("no check of the context", "no check of the envelope") and any(
            f not in context for f in fields
        ):
            return 400, "context"
        given = call.get("fhirAuthorization")
        if given is not None:
            if "fhirServer" not in call and self.fault != "authorization without server is accepted":
                return 400, "fhirServer"
            needed = ("access_token", "token_type", "expires_in", "scope", "subject")
            if any(name not in given for name in needed) and self.fault != "authorization is not checked":
                return 400, "fhirAuthorization"
        return None

    def _data_problem(self, call: Json) -> tuple[int, str] | None:
        if self.fault == "text extension is a 500" and isinstance(call.get("extension"), str):
            return 500, "extension"
        if "prefetch" not in call:
            return (500 if self.fault == "missing data are a 500" else 412), "prefetch"
        if (
            self.fault == "null prefetch is an error"
            and None in call["prefetch"].values()
            and len(set(map(str, call["prefetch"].values()))) == 1
        ):
            return 500, "prefetch"
        return None

    def _card(self) -> Json:
        card = copy.deepcopy(CARD)
        card["uuid"] = str(uuid.uuid4())
        for suggestion in card["suggestions"]:
            suggestion["uuid"] = str(uuid.uuid4())
            if self.fault == "two recommended suggestions":
                suggestion["isRecommended"] = True
        if self.fault in CARD_FAULTS:
            CARD_FAULTS[self.fault][1](card)
        return card

    async def _feedback(self, request: Request) -> Response:
        if not self._let_in(request):
            return Response(status_code=401)
        items = json.loads(await request.body()).get("feedback")
        if self.fault == "feedback is not checked":
            return Response(status_code=200)
        if not isinstance(items, list) or not items:
            return Response(status_code=400)
        for item in items:
            refused = {"accepted feedback is refused": "accepted", "overrides are refused": "overridden"}
            if refused.get(self.fault or "") == item.get("outcome") or not _is_feedback(item):
                return Response(status_code=400)
            if self.fault == "repeated feedback is refused" and json.dumps(item) in self._told:
                return Response(status_code=409)
            self._told.add(json.dumps(item))
        return Response(status_code=200)

    def _let_in(self, request: Request) -> bool:
        if self._key is None:
            return True
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            header, claims = (json.loads(urlsafe_b64decode(part.encode())) for part in token.split(".")[:2])
        except ValueError:
            return False
        return self._signed(token, header) and self._claims_are_right(claims, header, str(request.url))

    def _signed(self, token: str, header: Json) -> bool:
        if self.fault == "signatures are not checked":
            return header.get("alg") == "ES384"
        if self.fault == "unsigned tokens are accepted" and str(header.get("alg")).lower() == "none":
            return True
        try:
            jws.deserialize_compact(token, self._key, algorithms=["ES384"])
        except (JoseError, ValueError):
            return False
        return True

    def _claims_are_right(self, claims: Json, header: Json, url: str) -> bool:
        if self.fault == "claims may be missing":
            return True
        audience = claims.get("aud")
        right = self.fault == "the audience is not checked" or url in (
            audience if isinstance(audience, list) else [audience]
        )
        right &= claims.get("exp", 0) > time.time() or self.fault == "expired tokens are accepted"
        right &= claims.get("iat", 1e12) < time.time() + 60 and claims.get("iss") == ISSUER
        right &= "jku" not in header and "kid" in header and claims.get("jti") not in (None, *self._used)
        self._used.add(str(claims.get("jti")))
        return bool(right)


def _is_uuid(value: Any) -> bool:
    try:
        return bool(uuid.UUID(str(value)))
    except ValueError:
        return False


def _is_feedback(item: Json) -> bool:
    if not _is_uuid(item.get("card")) or not str(item.get("outcomeTimestamp", "")).startswith("20"):
        return False
    return item.get("outcome") == "overridden" or (item.get("outcome") == "accepted" and "acceptedSuggestions" in item)
