"""The steps of the demo over HTTP, and what each of them returned."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from cds.demo.ehr import DemoEhr, Reply, SigningKey
from cds.demo.film import demo_film
from cds.demo.record import (
    ISSUER,
    NAMESAKE_ID,
    PATIENT_ID,
    RECORD_NUMBER,
    drafted_orders,
    namesake_record,
    patient_record,
    report_bundle,
)
from cds.demo.state import DemoState
from cds.errors import DemoError

_RESULT_SECONDS = 300.0
_POLL_SECONDS = 0.1
_Json = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """Everything the demo has to show, as the service answered it."""

    film: _Json
    film_new: bool
    film_seconds: float
    report: _Json
    report_new: bool
    assessment: _Json
    replies: tuple[Reply, ...]
    namesake: _Json
    namesake_replies: tuple[Reply, ...]
    case_url: str | None

    def as_record(self) -> _Json:
        """Return what can be kept as JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: _Json) -> Shown:
        replies = {name: tuple(Reply(**r) for r in record[name]) for name in ("replies", "namesake_replies")}
        return cls(**{**record, **replies})


class Journey:
    """Brings the demo patient through a running service."""

    def __init__(self, state: DemoState, client: httpx.Client, api_key: str, signing_key: SigningKey) -> None:
        self._state = state
        self._client = client
        self._authorization = {"Authorization": f"Bearer {api_key}"}
        self._ehr = DemoEhr(client, signing_key)

    def go(self, tell: Callable[[str], None]) -> Shown:
        """Send film, report and requests; wait for the results.

        tell  is called with each step as it starts

        Raises DemoError when a step is not answered as it should be.
        """
        try:
            return self._go(tell)
        except httpx.HTTPStatusError as error:
            path, status = error.request.url.path, error.response.status_code
            raise DemoError(f"{error.request.method} {path} was answered with {status}: {_detail(error)}") from None
        except httpx.TransportError as error:
            raise DemoError(f"the service does not answer ({type(error).__name__})") from None

    def _go(self, tell: Callable[[str], None]) -> Shown:
        tell("sending the film")
        started = time.perf_counter()
        film = self._send_film()
        tell("waiting for the film's result")
        film_state = self._wait(f"/api/v1/studies/{film['study_id']}", _film_is_done)
        film_seconds = time.perf_counter() - started
        tell("sending the report")
        report = self._post("/api/v1/reports", report_bundle(self._state))
        report_state = self._wait(f"/api/v1/reports/{report['report_id']}", lambda body: body["result"] is not None)
        tell("asking for the assessment of another patient of the same name")
        other, others_replies = self._namesake()
        tell("asking for scores and risks")
        record = patient_record(self._state)
        assessment = self._risk(record, PATIENT_ID)
        tell("opening the chart (patient-view) and signing an order (order-sign)")
        context = {"patientId": PATIENT_ID, "encounterId": "demo-encounter"}
        replies = self._ehr.call("patient-view", record, context)
        replies += self._ehr.call("order-sign", record, {**context, "draftOrders": drafted_orders(self._state)})
        return Shown(
            film=film_state,
            film_new=film["new"],
            film_seconds=film_seconds,
            report=report_state,
            report_new=report["new"],
            assessment=assessment,
            replies=tuple(replies),
            namesake=other,
            namesake_replies=tuple(others_replies),
            case_url=_case_url(replies),
        )

    def _send_film(self) -> _Json:
        film = demo_film(self._state, patient_id=RECORD_NUMBER, issuer=ISSUER)
        headers = {**self._authorization, "Content-Type": "application/dicom"}
        return _json(self._client.post("/api/v1/studies", content=film, headers=headers))

    def _namesake(self) -> tuple[_Json, list[Reply]]:
        record = namesake_record(self._state)
        return self._risk(record, NAMESAKE_ID), self._ehr.call("patient-view", record, {"patientId": NAMESAKE_ID})

    def _risk(self, record: _Json, patient_id: str) -> _Json:
        at = datetime.now(UTC).isoformat()
        return self._post("/api/v1/risk", {"bundle": record, "patient_id": patient_id, "at": at})

    def _post(self, path: str, body: _Json) -> _Json:
        return _json(self._client.post(path, json=body, headers=self._authorization))

    def _wait(self, path: str, is_done: Callable[[_Json], bool]) -> _Json:
        until = time.monotonic() + _RESULT_SECONDS
        while time.monotonic() < until:
            body = _json(self._client.get(path, headers=self._authorization))
            if is_done(body):
                return body
            time.sleep(_POLL_SECONDS)
        raise DemoError(f"no result within {_RESULT_SECONDS:.0f} s; demo.log in the data folder may say why")


def _film_is_done(body: _Json) -> bool:
    if body["status"] == "failed":
        raise DemoError("the film could not be analysed; the worker's messages above say why")
    return body["result"] is not None


def _json(response: httpx.Response) -> _Json:
    response.raise_for_status()
    return response.json()  # type: ignore[no-any-return]


def _detail(error: httpx.HTTPStatusError) -> str:
    try:
        body = error.response.json()
    except ValueError:
        return "no reason given"
    issues = body.get("issue") or [{}]
    return str(body.get("detail") or issues[0].get("diagnostics") or body.get("title") or "no reason given")


def _case_url(replies: list[Reply]) -> str | None:
    """Return the address of the case page, which the cards link to."""
    for reply in reversed(replies):
        found = re.search(r'http[^"\s]*/cases/[0-9a-f-]{36}', str(reply.body))
        if found:
            return found.group()
    return None
