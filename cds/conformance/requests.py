"""Items 6 to 8, 13, 16 to 18 and 43: what a server does with right, incomplete and broken requests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx

from cds.conformance.examples import REQUIRED_FIELDS
from cds.conformance.model import CannotSeeError, check
from cds.conformance.target import Target, object_of

_ACCEPTABLE = (httpx.codes.OK, httpx.codes.PRECONDITION_FAILED)
_SLOW_SECONDS = 0.5
AUTHORIZATION = {
    "access_token": "conformance",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "patient/*.read",
    "subject": "conformance",
}


@check(6, "M", "a service answers a complete request with 200 (or 412, lacking data)")
def complete_requests_are_answered(target: Target) -> Iterator[str]:
    if not target.calls:
        raise CannotSeeError("no service has a hook that the kit knows")
    for called in target.calls:
        if called.response.status_code not in _ACCEPTABLE:
            yield f"{called.name}: {called.response.status_code}"
        elif called.response.is_success and not isinstance(called.body.get("cards"), list):
            yield f"{called.name}: 200 without a list `cards`"


@check(6, "M", "a request without hook, hookInstance or context is refused")
def incomplete_requests_are_refused(target: Target) -> Iterator[str]:
    path, request = target.example()
    for name in ("hook", "hookInstance", "context"):
        yield from _not_refused(target, path, _without(request, name), f"without {name}")


@check(6, "S", "a hookInstance that is no UUID is refused")
def hook_instances_are_checked(target: Target) -> Iterator[str]:
    path, request = target.example()
    yield from _not_refused(target, path, {**request, "hookInstance": "not-a-uuid"}, "hookInstance not-a-uuid")


@check(6, "M", "a request for a hook that the service is not on is refused")
def foreign_hooks_are_refused(target: Target) -> Iterator[str]:
    path, request = target.example()
    yield from _not_refused(target, path, {**request, "hook": "no-such-hook"}, "hook no-such-hook")


@check(7, "M", "fhirAuthorization without fhirServer is refused")
def authorization_needs_a_server(target: Target) -> Iterator[str]:
    path, request = target.example()
    changed = {**_without(request, "fhirServer"), "fhirAuthorization": AUTHORIZATION}
    yield from _not_refused(target, path, changed, "fhirAuthorization alone")


@check(8, "M", "fhirAuthorization without one of its fields is refused")
def authorization_is_complete(target: Target) -> Iterator[str]:
    path, request = target.example()
    for name in AUTHORIZATION:
        given = {**request, "fhirServer": "https://fhir.invalid/r4", "fhirAuthorization": _without(AUTHORIZATION, name)}
        yield from _not_refused(target, path, given, f"without {name}")


@check(13, "M", "a prefetch that is null, absent or an OperationOutcome makes no error of the server")
def prefetch_may_be_missing(target: Target) -> Iterator[str]:
    path, request = target.example()
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    keys = list(request.get("prefetch") or {"patient": None})
    for text, value in (("null", None), ("an OperationOutcome", outcome)):
        response = target.post(path, {**_again(request), "prefetch": dict.fromkeys(keys, value)})
        yield from _server_error(response, f"prefetch {text}")
    yield from _server_error(target.post(path, _again(_without(request, "prefetch"))), "prefetch absent")


@check(16, "M", "data that are missing and not obtainable end in 412, not in an error of the server")
def missing_data_is_412(target: Target) -> Iterator[str]:
    path, request = target.example()
    response = target.post(path, _again(_without(_without(request, "prefetch"), "fhirServer")))
    if response.status_code not in _ACCEPTABLE:
        yield f"status {response.status_code}"


@check(17, "S", "an answer takes less than 500 ms")
def answers_are_fast(target: Target) -> Iterator[str]:
    path, request = target.example()
    seconds = sorted(target.post(path, _again(request)).elapsed.total_seconds() for _ in range(5))
    if seconds[2] > _SLOW_SECONDS:
        yield f"median {1000 * seconds[2]:.0f} ms"


@check(18, "M", "what is malformed or unknown is answered with 4xx")
def broken_requests_are_refused(target: Target) -> Iterator[str]:
    path, request = target.example()
    broken: list[tuple[str, Any]] = [("not JSON", b"{"), ("a list", []), ("text", "x"), ("nothing", b"")]
    broken += [("a context that is text", {**request, "context": "x"})]
    for text, body in broken:
        yield from _not_refused(target, path, body, text)
    response = target.post("/cds-services/no-such-service", request)
    if response.status_code != httpx.codes.NOT_FOUND:
        yield f"an unknown service: {response.status_code}"


@check(18, "S", "errors carry an OperationOutcome and no trace")
def errors_are_outcomes(target: Target) -> Iterator[str]:
    path, request = target.example()
    for text, body in (("not JSON", b"{"), ("without context", _without(request, "context"))):
        response = target.post(path, body)
        if "Traceback (most recent call last)" in response.text:
            yield f"{text}: a stack trace"
        if object_of(response).get("resourceType") != "OperationOutcome":
            yield f"{text}: no OperationOutcome"


@check(43, "M", "a context without a required field of its hook is refused")
def contexts_are_checked(target: Target) -> Iterator[str]:
    for called in target.calls:
        if not called.response.is_success:
            continue
        path = f"/cds-services/{called.service['id']}"
        for name in REQUIRED_FIELDS.get(called.service["hook"], ()):
            changed = {**_again(called.request), "context": _without(called.request["context"], name)}
            yield from _not_refused(target, path, changed, f"{called.name} without {name}")


def _not_refused(target: Target, path: str, body: Any, text: str) -> Iterator[str]:
    response = target.post(path, _again(body) if isinstance(body, dict) else body)
    if not response.is_client_error:
        yield f"{text}: {response.status_code}"


def _server_error(response: httpx.Response, text: str) -> Iterator[str]:
    if response.is_server_error:
        yield f"{text}: {response.status_code}"


def _again(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request as a new call: another hookInstance, unless it is the thing under test."""
    instance = request.get("hookInstance")
    if instance is None or instance == "not-a-uuid":
        return request
    return {**request, "hookInstance": str(uuid.uuid4())}


def _without(content: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != name}
