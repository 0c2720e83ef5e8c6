"""Arrival of radiology reports: FHIR R4 DiagnosticReport, the one way in for a POST and for other feeds.

A report is acknowledged when its text is synced to disk and its row and job are committed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, get_args

from cds.configuration import IdentityTable
from cds.errors import ReportNotAcceptedError
from cds.store import BlobFolder, Database
from cds.store.reports import ReportHeader, ReportStatus, add_report

_DICOM_UID_SYSTEM = "urn:dicom:uid"
_ACCESSION_TYPE = "ACSN"
_STATUS = {
    "partial": "preliminary",
    "registered": "preliminary",
    "appended": "amended",
    "cancelled": "entered-in-error",
}


@dataclass(frozen=True)
class ReportReceipt:
    """The acknowledgement of an arrival; `new` is False when this version had arrived before."""

    report_id: str
    new: bool


class ReportArrivals:
    """Receives reports into the store."""

    def __init__(self, database: Database, blobs: BlobFolder, identity: IdentityTable) -> None:
        self._database = database
        self._blobs = blobs
        self._identity = identity

    def receive_fhir(
        self, resource: Mapping[str, Any], *, patient: Mapping[str, Any] | None = None, source: str, at: datetime
    ) -> ReportReceipt:
        """Store one DiagnosticReport and queue its extraction.

        resource  DiagnosticReport with text (presentedForm text/plain or text/html, else conclusion), identifier,
                  status and subject.identifier; accession number as an identifier of type ACSN or basedOn.identifier,
                  study as imagingStudy.identifier (urn:dicom:uid)
        patient   the Patient it is about, if sent along: birth date and sex to contradict a wrong join

        Raises ReportNotAcceptedError naming the element and what would be right.
        """
        text = _text_of(resource)
        patient = patient or {}
        subject = _mapping(_mapping(resource.get("subject")).get("identifier"))
        system, value = subject.get("system"), subject.get("value")
        known = self._identity.for_system(system) is not None
        header = ReportHeader(
            source=source,
            source_id=_source_id(resource),
            identifier_system=str(system) if known else None,
            identifier_value=str(value) if value else None,
            accession=_accession(resource),
            study_instance_uid=_study(resource),
            birth_date=_date(patient.get("birthDate")),
            sex=patient.get("gender") if isinstance(patient.get("gender"), str) else None,
            status=_status(resource),
            issued_at=_issued(resource, at),
        )
        sha256 = self._blobs.put(text.encode("utf-8", "surrogatepass"))
        with self._database.writing() as session:
            report, new = add_report(session, header, sha256, at=at)
            return ReportReceipt(report.id, new)


def _text_of(resource: Mapping[str, Any]) -> str:
    if resource.get("resourceType") != "DiagnosticReport":
        raise ReportNotAcceptedError("not_a_report", "resourceType must be DiagnosticReport")
    for form in _list(resource.get("presentedForm")):
        if str(form.get("contentType", "")).startswith("text/") and form.get("data"):
            try:
                return base64.b64decode(form["data"], validate=True).decode("utf-8")
            except (binascii.Error, UnicodeDecodeError, TypeError, ValueError):
                raise ReportNotAcceptedError(
                    "bad_text", "presentedForm.data must be base64 of UTF-8 text for a text/* contentType"
                ) from None
    conclusion = resource.get("conclusion")
    if isinstance(conclusion, str) and conclusion.strip():
        return conclusion
    raise ReportNotAcceptedError("no_text", "no text: give presentedForm with contentType text/plain, or conclusion")


def _source_id(resource: Mapping[str, Any]) -> str:
    for identifier in _list(resource.get("identifier")):
        if identifier.get("value") and _type_code(identifier) != _ACCESSION_TYPE:
            return f"{identifier.get('system', '')}|{identifier['value']}"[:255]
    if isinstance(resource.get("id"), str):
        return str(resource["id"])[:255]
    raise ReportNotAcceptedError("no_identifier", "identifier or id is needed, so that a correction finds its original")


def _accession(resource: Mapping[str, Any]) -> str | None:
    candidates = [i for i in _list(resource.get("identifier")) if _type_code(i) == _ACCESSION_TYPE]
    candidates += [_mapping(reference.get("identifier")) for reference in _list(resource.get("basedOn"))]
    return next((str(i["value"])[:64] for i in candidates if i.get("value")), None)


def _study(resource: Mapping[str, Any]) -> str | None:
    for reference in _list(resource.get("imagingStudy")):
        identifier = _mapping(reference.get("identifier"))
        if identifier.get("system") == _DICOM_UID_SYSTEM and identifier.get("value"):
            return str(identifier["value"]).removeprefix("urn:oid:")[:64]
    return None


def _status(resource: Mapping[str, Any]) -> ReportStatus:
    status = resource.get("status")
    status = _STATUS.get(str(status), status)
    if status not in get_args(ReportStatus):
        raise ReportNotAcceptedError(
            "bad_status", f"status must be one of {', '.join(get_args(ReportStatus))} or a FHIR status that maps to one"
        )
    return status  # type: ignore[return-value]


def _issued(resource: Mapping[str, Any], at: datetime) -> datetime:
    for name in ("issued", "effectiveDateTime"):
        value = resource.get(name)
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                raise ReportNotAcceptedError("bad_time", f"{name} must be a FHIR instant with a time zone") from None
            if moment.tzinfo is not None:
                return moment
    return at


def _date(value: Any) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _type_code(identifier: Mapping[str, Any]) -> str | None:
    codings = _list(_mapping(identifier.get("type")).get("coding"))
    return next((str(coding["code"]) for coding in codings if coding.get("code")), None)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
