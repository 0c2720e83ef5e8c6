"""Items 9, 14 and 15: whether a server gets what prefetch left out, seen from a FHIR server that the kit runs."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from cds.conformance.examples import PATIENT
from cds.conformance.model import CannotSeeError, check
from cds.conformance.requests import AUTHORIZATION
from cds.conformance.target import Json, Target

_SECRET = "conformance-token-5f1d"  # noqa: S105


class Probe:
    """A FHIR server that knows one patient, pages its searches, and remembers what it was asked.

    port  where it listens on loopback; the server under test must be allowed to call it
    """

    def __init__(self, port: int) -> None:
        self.asked: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> Json | None:
        """Return the resource or page at a path: a search has a second page."""
        kind = urlsplit(path).path.strip("/").partition("/")[0]
        if path.startswith("/Patient/"):
            return PATIENT
        if not kind[:1].isupper():
            return None
        link = [{"relation": "next", "url": f"{self.url}/{kind}?page=2"}]
        return {"resourceType": "Bundle", "type": "searchset", **({} if "page=2" in path else {"link": link})}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        probe = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                probe.asked.append((self.path, self.headers.get("Authorization", "")))
                answer = probe.answer(self.path)
                body = json.dumps(answer).encode()
                self.send_response(200 if answer else 404)
                self.send_header("Content-Type", "application/fhir+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


@check(15, "S", "what prefetch leaves out is fetched with the token")
def missing_prefetch_is_fetched(target: Target) -> Iterator[str]:
    probe = _probe(target)
    path, request = target.example()
    probe.asked.clear()
    response = target.post(path, _authorized(request, probe))
    if not probe.asked:
        yield f"the FHIR server was not asked; status {response.status_code}"
    elif any(token != f"Bearer {_SECRET}" for _, token in probe.asked):
        yield "asked without the token"


@check(14, "S", "further pages of a prefetch are followed")
def pages_are_followed(target: Target) -> Iterator[str]:
    probe = _probe(target)
    path, request = target.example()
    keys = [
        key for key, value in (request.get("prefetch") or {}).items() if (value or {}).get("resourceType") == "Bundle"
    ]
    if not keys:
        raise CannotSeeError("the service asks for no search")
    page = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "next", "url": f"{probe.url}/Observation?page=2"}],
    }
    probe.asked.clear()
    target.post(path, {**_authorized(request, probe), "prefetch": {**request["prefetch"], keys[0]: page}})
    if not any("page=2" in path for path, _ in probe.asked):
        yield "the next page was not asked for"


@check(9, "M", "the access token is not repeated in an answer")
def tokens_are_not_repeated(target: Target) -> Iterator[str]:
    path, request = target.example()
    changed = {**request, "fhirServer": "https://fhir.invalid/r4", "fhirAuthorization": _authorization()}
    for text, body in (("an answer", changed), ("an error", {**changed, "context": {}})):
        if _SECRET in target.post(path, body).text:
            yield f"{text} holds it"


def _probe(target: Target) -> Probe:
    if target.probe is None:
        raise CannotSeeError("give a port for a FHIR server that the server under test may call")
    return target.probe


def _authorization() -> Json:
    return {**AUTHORIZATION, "access_token": _SECRET}


def _authorized(request: Json, probe: Probe) -> Json:
    kept = {key: value for key, value in request.items() if key != "prefetch"}
    return {**kept, "fhirServer": probe.url, "fhirAuthorization": _authorization()}
