"""Arrival of radiology reports: the one way in, for FHIR R4 DiagnosticReport and for what other feeds have read.

A report is acknowledged when its text is synced to disk and its row and job are committed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, get_args

from cds.arrival.markup import text_of_html
from cds.errors import ReportNotAcceptedError
from cds.site.configuration import IdentityTable
from cds.site.orders import OrderTable
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

    def __init__(self, database: Database, blobs: BlobFolder, identity: IdentityTable, orders: OrderTable) -> None:
        self._database = database
        self._blobs = blobs
        self._identity = identity
        self._orders = orders

    def receive_fhir(
        self, resource: Mapping[str, Any], *, patient: Mapping[str, Any] | None = None, source: str, at: datetime
    ) -> ReportReceipt:
        """Store one DiagnosticReport and queue its extraction.

        resource  DiagnosticReport with text (presentedForm text/plain or text/html, else conclusion; none is needed to
                  take a report back), identifier, status and subject.identifier; accession number as an identifier of
                  type ACSN or basedOn.identifier, study as imagingStudy.identifier (urn:dicom:uid), examination as code
        patient   the Patient it is about, if sent along: identifiers where the report has none of its own, birth date
                  and sex to contradict a wrong join
        source    the way in and the sender; the same identifier from another source is another report

        Raises ReportNotAcceptedError naming the element and what would be right.
        """
        if resource.get("resourceType") != "DiagnosticReport":
            raise ReportNotAcceptedError("not_a_report", "resourceType must be DiagnosticReport")
        status = _status(resource)
        text = _text_of(resource, needed=status != "entered-in-error")
        patient = patient or {}
        system, value = self._subject(resource, patient)
        accession_system, accession = _accession(resource)
        header = ReportHeader(
            source=source,
            source_id=_source_id(resource),
            identifier_system=system,
            identifier_value=value,
            accession_system=accession_system,
            accession=accession,
            study_instance_uid=_study(resource),
            birth_date=_date(patient.get("birthDate")),
            sex=_sex(patient.get("gender")),
            status=status,
            issued_at=_issued(resource),
            exam=self._exam(resource),
        )
        return self.receive(header, text, at=at)

    def receive(self, header: ReportHeader, text: str, *, at: datetime) -> ReportReceipt:
        """Store one version of a report, whose header a feed has read, and queue its extraction."""
        sha256 = self._blobs.put(text.encode("utf-8", "surrogatepass"))
        with self._database.writing() as session:
            report, new = add_report(session, header, sha256, at=at)
            return ReportReceipt(report.id, new)

    def _exam(self, resource: Mapping[str, Any]) -> str | None:
        """Return what was examined: the orderable that `code` stands for, else the sender's words for it."""
        concept = _mapping(resource.get("code"))
        orderable = self._orders.orderable_of(concept)
        words = [concept.get("text"), *(coding.get("display") for coding in _list(concept.get("coding")))]
        return orderable.display if orderable else next(filter(None, map(_short, words)), None)

    def _subject(self, resource: Mapping[str, Any], patient: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """Return whose the report is: the first identifier of a known issuer, its own before those of the Patient."""
        reference = str(_mapping(resource.get("subject")).get("reference", ""))
        if patient.get("id") and reference.startswith("Patient/") and reference.split("/")[1] != patient["id"]:
            raise ReportNotAcceptedError("two_patients", "subject is not the Patient that was sent along")
        own = list(_identifiers([_mapping(_mapping(resource.get("subject")).get("identifier"))]))
        sent_along = list(_identifiers(_list(patient.get("identifier"))))
        for system, value in own:
            others = {other for issuer, other in sent_along if issuer == system}
            if others and value not in others:
                raise ReportNotAcceptedError(
                    "two_patients", "subject.identifier and Patient.identifier of the same system differ"
                )
        for system, value in [*own, *sent_along]:
            if self._identity.for_system(system) is not None:
                return system, value
        return None, next((value for _, value in [*own, *sent_along]), None)


def _text_of(resource: Mapping[str, Any], *, needed: bool) -> str:
    forms = {_media_type(form): form for form in reversed(_list(resource.get("presentedForm"))) if form.get("data")}
    for kind, read in (("text/plain", str), ("text/html", text_of_html)):
        if kind in forms:
            try:
                return read(base64.b64decode(forms[kind]["data"], validate=True).decode("utf-8"))
            except (binascii.Error, UnicodeDecodeError, TypeError, ValueError):
                raise ReportNotAcceptedError(
                    "bad_text", f"presentedForm.data must be base64 of UTF-8 text for contentType {kind}"
                ) from None
    conclusion = resource.get("conclusion")
    if isinstance(conclusion, str) and conclusion.strip():
        return conclusion
    if not needed:
        return ""
    raise ReportNotAcceptedError("no_text", "no text: give presentedForm with contentType text/plain, or conclusion")


def _media_type(form: Mapping[str, Any]) -> str:
    return str(form.get("contentType", "")).split(";")[0].strip().lower()


def _source_id(resource: Mapping[str, Any]) -> str:
    for identifier in _list(resource.get("identifier")):
        if identifier.get("value") and _type_code(identifier) != _ACCESSION_TYPE:
            system, value = _short(identifier.get("system") or ""), _short(identifier["value"])
            if system is not None and value:
                return f"{system}|{value}"
            raise _bad_identifier("identifier")
    if resource.get("id"):
        logical = _short(resource["id"])
        if logical:
            return logical
        raise _bad_identifier("id")
    raise ReportNotAcceptedError("no_identifier", "identifier or id is needed, so that a correction finds its original")


def _accession(resource: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return system and value of the accession number; an untyped identifier of the order is taken for one."""
    typed = [i for i in _list(resource.get("identifier")) if _type_code(i) == _ACCESSION_TYPE]
    orders = [_mapping(reference.get("identifier")) for reference in _list(resource.get("basedOn"))]
    for identifier in [*typed, *(i for i in orders if _type_code(i) in (None, _ACCESSION_TYPE))]:
        value = _short(identifier.get("value"), 64)
        if value:
            return _short(identifier.get("system")), value
    return None, None


def _study(resource: Mapping[str, Any]) -> str | None:
    for reference in _list(resource.get("imagingStudy")):
        identifier = _mapping(reference.get("identifier"))
        value = _short(identifier.get("value"))
        if identifier.get("system") == _DICOM_UID_SYSTEM and value:
            return _short(value.removeprefix("urn:oid:"), 64)
    return None


def _status(resource: Mapping[str, Any]) -> ReportStatus:
    status = resource.get("status")
    status = _STATUS.get(str(status), status)
    if status not in get_args(ReportStatus):
        raise ReportNotAcceptedError(
            "bad_status", f"status must be one of {', '.join(get_args(ReportStatus))} or a FHIR status that maps to one"
        )
    return status  # type: ignore[return-value]


def _issued(resource: Mapping[str, Any]) -> datetime | None:
    """Return when the report was issued; None where it does not say, or says it without a time of day."""
    for name in ("issued", "effectiveDateTime"):
        value = resource.get(name)
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
                if moment.tzinfo is not None:
                    return moment.astimezone(UTC)
            except (ValueError, OverflowError):
                raise ReportNotAcceptedError("bad_time", f"{name} must be a FHIR instant with a time zone") from None
    return None


def _sex(gender: Any) -> str | None:
    return gender if gender in ("male", "female", "other") else None


def _date(value: Any) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _identifiers(identifiers: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for identifier in identifiers:
        system, value = _short(identifier.get("system") or ""), _short(identifier.get("value"))
        if identifier.get("use") != "old" and system is not None and value:
            yield system, value


def _short(value: Any, longest: int = 255) -> str | None:
    """Return a text that can stand for something; None when it is none, overlong or not printable, never a part."""
    text = value.strip() if isinstance(value, str) else None
    return text if text is not None and len(text) <= longest and text.isprintable() else None


def _bad_identifier(element: str) -> ReportNotAcceptedError:
    return ReportNotAcceptedError("bad_identifier", f"{element} must be printable text of at most 255 characters")


def _type_code(identifier: Mapping[str, Any]) -> str | None:
    codings = _list(_mapping(identifier.get("type")).get("coding"))
    return next((str(coding["code"]) for coding in codings if coding.get("code")), None)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
