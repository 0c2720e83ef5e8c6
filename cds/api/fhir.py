"""FHIR R4 under /fhir, to read: CapabilityStatement, read and search of what is published; errors as OperationOutcome.

Thin: reads the request, asks `cds.fhir.publishing`, answers JSON with ETag and Last-Modified.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from pydantic_core import to_json
from sqlalchemy.orm import Session

from cds.audit import note_access
from cds.fhir import Issue, operation_outcome
from cds.fhir.capability import PUBLISHED, WITH_IDENTIFIER, capability_statement
from cds.fhir.publishing import GoneError, Publisher
from cds.fhir.searching import Published, Search, SearchError, read_search
from cds.service import Service
from cds.site.codes import FindingCodes
from cds.store.patients import KnownPatient, patient_by_alias, patients_by_fhir_id

MEDIA_TYPE = "application/fhir+json"
_FORMATS = frozenset({"json", "application/json", MEDIA_TYPE})
_ABSOLUTE = re.compile(r"(https?://[^\s?#]+)/Patient/([A-Za-z0-9\-.]{1,64})")
_RELATIVE = re.compile(r"(?:Patient/)?([A-Za-z0-9\-.]{1,64})")
_CODES = {404: "not-found", 405: "not-supported", 406: "not-supported", 410: "deleted", 415: "not-supported"}


def fhir_router(service: Service, access: Any) -> APIRouter:
    """Return the routes of /fhir; all but the CapabilityStatement need `access`."""
    router = APIRouter(prefix="/fhir", tags=["FHIR"], default_response_class=Response)
    base = f"{service.settings.base_url}/fhir"
    allowed = [Depends(access)]
    reading = _Reading(service, base)

    @router.get("/metadata")
    async def capabilities() -> Response:
        """Return the CapabilityStatement."""
        return fhir_response(capability_statement(base))

    @router.get("/{kind}", dependencies=allowed)
    async def search(kind: str, request: Request) -> Response:
        """Search by `patient`, `patient:identifier`, `identifier`, `_id` and `_lastUpdated`; `_count` a page."""
        return await run_sync(reading.search, kind, request.query_params.multi_items())

    @router.post("/{kind}/_search", dependencies=allowed)
    async def search_by_form(kind: str, request: Request) -> Response:
        """Search with the parameters in a form, which keeps identifiers out of addresses."""
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            return outcome(415, "send the parameters as application/x-www-form-urlencoded")
        form = parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        return await run_sync(reading.search, kind, [*request.query_params.multi_items(), *form])

    @router.get("/{kind}/{identifier}", dependencies=allowed)
    async def read(kind: str, identifier: str, request: Request) -> Response:
        """Return one resource; with If-None-Match or If-Modified-Since, 304 when it is unchanged."""
        return await run_sync(reading.read, kind, identifier, request)

    @router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def nothing_else(path: str, request: Request) -> Response:
        if request.method == "GET":
            return outcome(404, "there is nothing at this address")
        return outcome(405, "this server is to read from")

    return router


class _Reading:
    def __init__(self, service: Service, base: str) -> None:
        self._service = service
        self._base = base

    @property
    def _publisher(self) -> Publisher:
        service = self._service
        return Publisher(service.blobs, FindingCodes(service.configs.findings()), service.gates)

    def search(self, kind: str, parameters: Sequence[tuple[str, str]]) -> Response:
        if kind not in PUBLISHED:
            return _unknown_kind()
        refused = _refused_format(parameters)
        if refused is not None:
            return refused
        try:
            search = read_search(parameters, with_identifier=kind in WITH_IDENTIFIER)
            with self._service.database.reading() as session:
                found = list(self._found(session, kind, search))
        except SearchError as error:
            return fhir_response(operation_outcome([error.issue]), 400)
        return fhir_response(search.page(kind, found, self._base))

    def read(self, kind: str, identifier: str, request: Request) -> Response:
        if kind not in PUBLISHED:
            return _unknown_kind()
        refused = _refused_format(request.query_params.multi_items())
        if refused is not None:
            return refused
        try:
            with self._service.database.reading() as session:
                item = self._publisher.by_id(session, kind, identifier)
        except GoneError:
            return outcome(410, "superseded or taken back; search for what is current")
        if item is None:
            return outcome(404, f"no such {kind}")
        _note([item])
        headers = {"ETag": f'W/"{item.version}"', "Last-Modified": format_datetime(item.updated, usegmt=True)}
        if _is_unchanged(item, request):
            return Response(status_code=304, headers=headers)
        return fhir_response(item.complete, headers=headers)

    def _found(self, session: Session, kind: str, search: Search) -> Iterator[Published]:
        publisher = self._publisher
        if search.patients or search.people:
            for patient in self._patients(session, search):
                note_access(patient=patient.subject)
                yield from publisher.of_patient(session, kind, patient)
        elif search.identifiers:
            for identifier in search.identifiers:
                yield from _noted(publisher.by_identifier(session, kind, identifier))
        else:
            for one in sorted(search.ids or ()):
                yield from _noted(_one(publisher, session, kind, one))

    def _patients(self, session: Session, search: Search) -> Iterator[KnownPatient]:
        for reference in search.patients:
            yield from _referenced(session, reference)
        for system, value in search.people:
            alias = f"{system}|{value}"
            yield patient_by_alias(session, alias) or KnownPatient(alias, frozenset({alias}))


def _referenced(session: Session, reference: str) -> Iterator[KnownPatient]:
    absolute = _ABSOLUTE.fullmatch(reference)
    if absolute is not None:
        known = patient_by_alias(session, f"{absolute[1]}|Patient/{absolute[2]}")
        yield from [known] if known is not None else []
        return
    relative = _RELATIVE.fullmatch(reference)
    if relative is None:
        raise SearchError(
            "value", "must be a reference to a Patient; for an identifier use patient:identifier", "patient"
        )
    patients = patients_by_fhir_id(session, relative[1])
    if len(patients) > 1:
        raise SearchError("multiple-matches", "several servers have this id; give the absolute reference", "patient")
    yield from patients


def _one(publisher: Publisher, session: Session, kind: str, identifier: str) -> Iterator[Published]:
    try:
        item = publisher.by_id(session, kind, identifier)
    except GoneError:
        return
    if item is not None:
        yield item


def _noted(items: Iterator[Published]) -> Iterator[Published]:
    for item in items:
        _note([item])
        yield item


def _note(items: Sequence[Published]) -> None:
    for item in items:
        subject = item.resource.get("subject") or item.resource.get("for") or {}
        identifier = subject.get("identifier", {})
        if "system" in identifier:
            note_access(patient=f"{identifier['system']}|{identifier['value']}")


def _is_unchanged(item: Published, request: Request) -> bool:
    tags = request.headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or item.version in re.findall(r'"([^"]*)"', tags)
    try:
        since = parsedate_to_datetime(request.headers.get("if-modified-since", ""))
        return item.updated.replace(microsecond=0) <= since
    except (ValueError, TypeError):
        return False


def _refused_format(parameters: Sequence[tuple[str, str]]) -> Response | None:
    wanted = [value for name, value in parameters if name == "_format"]
    if all(value in _FORMATS for value in wanted):
        return None
    return outcome(406, "only JSON is spoken here")


def _unknown_kind() -> Response:
    return outcome(404, f"published are {', '.join(PUBLISHED)}")


def outcome(status: int, reason: str) -> Response:
    """Return an error as an OperationOutcome."""
    return fhir_response(operation_outcome([Issue(_CODES.get(status, "exception"), reason)]), status)


def fhir_response(content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a resource as FHIR JSON; an empty list, which FHIR does not have, is left out."""
    lean = {name: value for name, value in content.items() if value != []}
    return Response(to_json(lean), status_code=status, media_type=MEDIA_TYPE, headers=headers)
