"""ORU^R01 -> the reports in it: whose, of which study, in which status, and the text. Knows no store.

One report a group of OBR and its OBX segments. Text is put together as it was dictated: lines of one observation as
lines, findings and impression under their headings where OBX-3 tells them apart.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from zoneinfo import ZoneInfo

from cds.arrival.markup import text_of_html
from cds.assessing.identity import administrative_gender
from cds.errors import MessageNotAcceptedError
from cds.hl7.message import Message, Segment
from cds.site.configuration import IdentityTable, Issuer
from cds.store.reports import ReportHeader, ReportStatus

_STATUS: dict[str, ReportStatus] = {
    "P": "preliminary",
    "A": "preliminary",
    "R": "preliminary",
    "F": "final",
    "C": "corrected",
    "K": "corrected",
    "X": "entered-in-error",
}
"""HL7 table 0123 (OBR-25)."""
_WITHOUT_RESULT = frozenset("IOSYZM")
_TAKEN_BACK = frozenset("DWX")
"""OBX-11 of an observation that does not hold."""
_PREFIX_OF_CORRECTION = "C"
_TEXT_TYPES = frozenset({"", "TX", "FT", "ST", "CE", "CWE"})
_HEADINGS = {
    "18782-3": "FINDINGS",
    "59776-5": "FINDINGS",
    "GDT": "FINDINGS",
    "19005-8": "IMPRESSION",
    "IMP": "IMPRESSION",
    "18783-1": "RECOMMENDATION",
    "REC": "RECOMMENDATION",
    "55110-1": "CONCLUSION",
    "55115-0": "INDICATION",
    "HIST": "INDICATION",
    "18834-2": "COMPARISON",
    "ADT": "ADDENDUM",
}
"""LOINC section codes, and the suffixes of HL7 2.3 chapter 7.1.3 (`71020&IMP`)."""
_STUDY_UID = "113014"  # DCM "DICOM Study", as IHE has it
_ACCESSION_FIELDS = (18, 3)
"""IHE carries the accession number in OBR-18; others in the filler order number."""


@dataclass(frozen=True)
class ReportMessage:
    """One report of a message."""

    header: ReportHeader
    text: str


def reports_in(message: Message, identity: IdentityTable, zone: ZoneInfo, *, source: str) -> list[ReportMessage]:
    """Return the reports of a message; empty when it only says that there is no result yet.

    Raises MessageNotAcceptedError naming the field and what would be right.
    """
    patient = message.first("PID")
    study = next((segment.text(1) for segment in message.segments("ZDS")), "")
    reports = [
        _report(group, patient, study, identity, zone, source)
        for group in _groups(message)
        if group[0].text(25) not in _WITHOUT_RESULT
    ]
    message.first("OBR")
    return reports


def _groups(message: Message) -> Iterator[list[Segment]]:
    """Yield each OBR with the segments up to the next one."""
    group: list[Segment] = []
    for segment in message:
        if segment.name == "OBR":
            if group:
                yield group
            group = [segment]
        elif group and segment.name in ("OBX", "NTE"):
            group.append(segment)
    if group:
        yield group


def _report(
    group: Sequence[Segment],
    patient: Segment,
    study: str,
    identity: IdentityTable,
    zone: ZoneInfo,
    source: str,
) -> ReportMessage:
    order, observations = group[0], [segment for segment in group[1:] if segment.name == "OBX"]
    status = _status(order, observations)
    issuer, number = whose(patient, 3, identity)
    accession = next((value for field in _ACCESSION_FIELDS if (value := order.text(field))), None)
    text = _text_of(observations)
    if not text.strip() and status != "entered-in-error":
        raise MessageNotAcceptedError("no_text", "OBX-5 holds no text (OBX-2 TX, FT, ST, or ED with text)")
    issued = order.moment(22, zone)
    return ReportMessage(
        ReportHeader(
            source=source,
            source_id=_source_id(order),
            identifier_system=issuer.system if issuer else None,
            identifier_value=number,
            accession_system=issuer.accession_system if issuer else None,
            accession=None if accession is None else _bounded(accession, 64, "OBR-18 or OBR-3"),
            study_instance_uid=_study(observations, study),
            birth_date=patient.day(7),
            sex=administrative_gender(patient.text(8)),
            status=status,
            issued_at=None if issued is None else issued.astimezone(UTC),
            exam=_exam(order),
        ),
        text,
    )


def whose(segment: Segment, field: int, identity: IdentityTable) -> tuple[Issuer | None, str | None]:
    """Return the record number of a CX field by a known issuer, else the first number without one."""
    numbers = [
        (segment.text(field, 1, repetition), _issuer(segment, field, repetition, identity))
        for repetition in range(1, segment.repetitions(field) + 1)
    ]
    known = [(issuer, number) for number, issuer in numbers if number and issuer is not None]
    if known:
        issuer, number = known[0]
        return issuer, _bounded(number, 255, f"{segment.name}-{field}")
    first = next((number for number, _ in numbers if number), None)
    return None, None if first is None else _bounded(first, 255, f"{segment.name}-{field}")


def _issuer(segment: Segment, field: int, repetition: int, identity: IdentityTable) -> Issuer | None:
    """Return who issued a number, by the namespace or the universal id of its assigning authority."""
    names = [segment.text(field, 4, repetition, part=part) for part in (1, 2)]
    return next(filter(None, map(identity.for_hl7, names)), None)


def _source_id(order: Segment) -> str:
    """Return what stays the same over all versions of a report: the filler's order number, else the placer's."""
    for field in (3, 2):
        number = order.text(field)
        if number:
            return _bounded(f"{order.text(field, 2)}|{number}", 600, f"OBR-{field}")
    raise MessageNotAcceptedError(
        "no_identifier", "OBR-3 (filler order number) is needed, so that a correction finds its original"
    )


def _status(order: Segment, observations: Sequence[Segment]) -> ReportStatus:
    """Return the status of a report; one whose observations are all taken back does not hold."""
    said = {observation.text(11) for observation in observations}
    if said and said <= _TAKEN_BACK:
        return "entered-in-error"
    code = order.text(25)
    if code not in _STATUS:
        raise MessageNotAcceptedError("bad_status", f"OBR-25 must be one of {', '.join(_STATUS)}")
    corrected = _STATUS[code] == "final" and _PREFIX_OF_CORRECTION in said
    return "corrected" if corrected else _STATUS[code]


def _text_of(observations: Sequence[Segment]) -> str:
    """Return the text; an observation that was taken back is not in it."""
    parts: list[str] = []
    heading = ""
    for observation in observations:
        if observation.text(11) in _TAKEN_BACK or _is_study(observation):
            continue
        said = _said(observation)
        if said is None or not said.strip():
            continue
        under = _heading(observation)
        if under and under != heading and not said.lstrip().upper().startswith(under):
            parts.append(f"{under}:")
        heading = under
        parts.append(said)
    return "\n".join(parts)


def _said(observation: Segment) -> str | None:
    kind = observation.text(2)
    if kind in _TEXT_TYPES:
        return observation.lines(5)
    if kind == "ED" and observation.text(5, 2).upper() in ("TEXT", "TX"):
        return _encapsulated(observation)
    return None


def _encapsulated(observation: Segment) -> str:
    encoding, data = observation.text(5, 4).upper(), observation.raw(5, 5)
    if encoding != "BASE64":
        return observation.text(5, 5)
    try:
        text = base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise MessageNotAcceptedError("bad_text", "OBX-5.5 must be base64 of UTF-8 text") from None
    return text_of_html(text) if observation.text(5, 3).upper() == "HTML" else text


def _heading(observation: Segment) -> str:
    named = (observation.text(3), observation.text(3, part=2), observation.text(3, 4))
    return next((_HEADINGS[name] for name in named if name in _HEADINGS), "")


def _is_study(observation: Segment) -> bool:
    return _STUDY_UID in (observation.text(3), observation.text(3, 4))


def _study(observations: Sequence[Segment], of_zds: str) -> str | None:
    uids = [of_zds, *(observation.text(5) for observation in observations if _is_study(observation))]
    uid = next(filter(None, uids), None)
    return None if uid is None else _bounded(uid, 64, "the StudyInstanceUID")


def _exam(order: Segment) -> str | None:
    """Return what was examined, in the sender's words."""
    words = order.text(4, 2) or order.text(4)
    return words if words and len(words) <= 255 and words.isprintable() else None


def _bounded(value: str, longest: int, field: str) -> str:
    if len(value) > longest or not value.isprintable():
        raise MessageNotAcceptedError(
            "bad_identifier", f"{field} must be printable text of at most {longest} characters"
        )
    return value
