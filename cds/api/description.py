"""What the OpenAPI document says beyond the routes themselves: summaries, examples, and every error with its status.

Errors that any request may meet (keys, limits, a store in trouble) are said here once; what only one route answers
stands at the route, by `also`. The examples lie in `examples.json`, by method and path, as a running service gave them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from cds.api.repeating import HEADER, Repeatable

_PREFIX = "/api/v1"
_EXAMPLES = Path(__file__).with_name("examples.json")
_PROBLEM_JSON = "application/problem+json"
_BY_ID = re.compile(r"\{[a-z_]+\}")
_CHANGES = ("post", "put", "patch", "delete")
_Json = dict[str, Any]

_MEANINGS = {
    400: "The body is nested too deep.",
    401: "No key or token, or a wrong one; the answer has no body.",
    403: "The caller has not the role that this needs, or a browser sent it from a page of another origin.",
    404: "There is nothing under that id.",
    409: "It is not possible now.",
    413: "The body is larger than this service takes.",
    415: "The body is not of the media type that this takes.",
    422: "The request is not as described here: `errors` names the fields; what was not accepted has a `code`.",
    429: "More requests than one client may send; `Retry-After` says when to go on.",
    503: "The store or the audit trail is busy; nothing was acknowledged. `Retry-After` says when to try again.",
    507: "There is no room to store it; nothing was acknowledged.",
}
_DETAILS = {
    400: "the JSON is nested deeper than 64 levels",
    403: "this needs the role radiologist",
    404: "no such study",
    409: f"the request with this {HEADER} is still in work; try again",
    413: "the body is larger than 16777216 bytes",
    415: "send one DICOM file as application/dicom",
    422: "the request is not as the API describes it",
    429: "too many requests; try again later",
    503: "the store is busy or cannot be reached; nothing was acknowledged, try again",
    507: "there is no room to store it; nothing was acknowledged, try again later",
}
_WAITS = (429, 503)
_PROBLEM: _Json = {
    "title": "Problem",
    "description": "Problem details (RFC 9457). They name path and reason, never a value of the request.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "A stable name of what was not accepted."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "reason"],
                "properties": {"path": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
    },
}
_IDEMPOTENCY: _Json = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The client's own name of this request: the same request with it gets the same answer for a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def also(*statuses: int) -> dict[int | str, _Json]:
    """Return what a route is declared with (`responses=`) that answers errors of its own."""
    return {status: {"description": _MEANINGS[status]} for status in statuses}


def binary(media_type: str) -> dict[int | str, _Json]:
    """Return what a route is declared with (`responses=`) that answers with bytes."""
    return {200: {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}}


def describe(app: FastAPI) -> None:
    """Have an application describe itself in full."""

    def document() -> _Json:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _completed(app: FastAPI) -> _Json:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    examples: dict[str, _Json] = json.loads(_EXAMPLES.read_text(encoding="utf-8"))
    repeatable = {
        (method.lower(), route.path)
        for route in app.routes
        if isinstance(route, Repeatable)
        for method in route.methods or ()
    }
    for method, path, operation in _operations(document):
        operation["summary"] = _summary(operation.get("description", ""))
        _exemplify(operation, examples.get(f"{method.upper()} {path}", {}))
        is_repeated = method == "post" and (method, path) in repeatable
        if is_repeated:
            operation.setdefault("parameters", []).append(_IDEMPOTENCY)
        for status in sorted(_statuses(method, path, operation, is_repeated)):
            operation["responses"][str(status)] = _answer(status)
    document["components"]["schemas"]["Problem"] = _PROBLEM
    return document


def _operations(document: _Json) -> Iterator[tuple[str, str, _Json]]:
    for path, item in document["paths"].items():
        if path.startswith(_PREFIX):
            for method, operation in item.items():
                yield method, path, operation


def _summary(description: str) -> str:
    """Return the first clause of a description."""
    return re.split(r"[.;:,]", description.strip(), maxsplit=1)[0]


def _statuses(method: str, path: str, operation: _Json, is_repeated: bool) -> set[int]:
    """Return the errors that an operation may answer with."""
    found = {401, 403, 429, 503} | {int(status) for status in operation["responses"] if int(status) >= 400}
    if _BY_ID.search(path):
        found.add(404)
    if operation.get("parameters") or "requestBody" in operation:
        found.add(422)
    if "requestBody" in operation:
        found |= {400, 413}
    if method in _CHANGES:
        found.add(507)
    if is_repeated:
        found |= {400, 409}
    return found


def _answer(status: int) -> _Json:
    answer: _Json = {"description": _MEANINGS[status]}
    if status == HTTPStatus.UNAUTHORIZED:
        answer["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
        return answer
    if status in _WAITS:
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    example: _Json = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _DETAILS[status],
    }
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        example["errors"] = [{"path": "query.limit", "reason": "Input should be less than or equal to 200"}]
    answer["content"] = {_PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    return answer


def _exemplify(operation: _Json, example: _Json) -> None:
    """Put what is asked and what is answered into an operation, as a running service had it."""
    if "request" in example:
        for content in operation["requestBody"]["content"].values():
            content.setdefault("examples", {}).setdefault("example", {"value": example["request"]})
    for name, value in example.get("parameters", {}).items():
        next(given for given in operation["parameters"] if given["name"] == name)["example"] = value
    if "response" in example:
        done = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
        for content in done["content"].values():
            content["example"] = example["response"]
