"""One HL7 message -> stored -> its acknowledgement, in original or enhanced mode.

Content that is wrong is answered with an error (AE), what this system does not take, or cannot take now, with a
rejection (AR); both name the field and what would be right, and neither repeats what was in it.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from cds.arrival import ReportArrivals
from cds.audit import Access, AuditTrail
from cds.errors import AuditError, MessageNotAcceptedError, NotAcceptedError
from cds.hl7.message import Header, Message, read_header, read_message
from cds.hl7.patients import MERGES, merges_in
from cds.hl7.reports import ReportMessage, reports_in
from cds.operating.logs import logger, place_of
from cds.site.configuration import IdentityTable
from cds.store import Database
from cds.store.merges import add_merge

_ACCEPTED, _ERROR, _REJECTED = "A", "E", "R"
_CODES = {
    "segment_missing": ("100", "Segment sequence error"),
    "no_identifier": ("101", "Required field missing"),
    "no_text": ("101", "Required field missing"),
    "bad_status": ("103", "Table value not found"),
    "unsupported_type": ("200", "Unsupported message type"),
    "unsupported_event": ("201", "Unsupported event code"),
    "unsupported_processing_id": ("202", "Unsupported processing id"),
    "not_now": ("207", "Application internal error"),
}
"""HL7 table 0357."""
_OTHERWISE = ("102", "Data type error")
_REJECTIONS = frozenset({"unsupported_type", "unsupported_event", "unsupported_processing_id", "not_now"})
_LONGEST_SOURCE = 64
_log = logger(__name__)


class Feed:
    """What listens to a report and a registration feed.

    processing_ids  values of MSH-11 that are taken; a training message has no place among patients
    """

    def __init__(
        self,
        database: Database,
        reports: ReportArrivals,
        identity: IdentityTable,
        zone: ZoneInfo,
        audit: AuditTrail,
        processing_ids: Collection[str] = ("P",),
    ) -> None:
        self._database = database
        self._reports = reports
        self._identity = identity
        self._zone = zone
        self._audit = audit
        self._processing_ids = frozenset(processing_ids)

    def receive(self, block: bytes, *, at: datetime) -> bytes:
        """Store what a message says and return its acknowledgement."""
        header = Header()
        try:
            header = read_header(block)
            message = read_message(block)
            self._take(message, at)
        except NotAcceptedError as error:
            _log.warning("hl7 message refused", code=error.code)
            return _acknowledgement(header, _verdict(error.code), at, error)
        except (OSError, MemoryError, SQLAlchemyError, AuditError) as error:
            _log.error("hl7 message not stored", **place_of(error))
            refusal = MessageNotAcceptedError("not_now", "it could not be stored; send it again")
            return _acknowledgement(header, _REJECTED, at, refusal)
        return _acknowledgement(header, _ACCEPTED, at)

    def _take(self, message: Message, at: datetime) -> None:
        processing_id = message.first("MSH").text(11)
        if processing_id not in self._processing_ids:
            raise MessageNotAcceptedError(
                "unsupported_processing_id", f"MSH-11 must be {' or '.join(sorted(self._processing_ids))}"
            )
        if message.type == "ORU":
            self._take_reports(message, at)
        elif message.type == "ADT":
            self._take_merges(message, at)
        else:
            raise MessageNotAcceptedError("unsupported_type", "MSH-9 must be ORU or ADT")

    def _take_reports(self, message: Message, at: datetime) -> None:
        source = _source(message.header)
        for report in reports_in(message, self._identity, self._zone, source=source):
            receipt = self._reports.receive(report.header, report.text, at=at)
            self._audit.record(
                Access(
                    client=source,
                    action="create" if receipt.new else "read",
                    what="hl7 ORU",
                    thing=f"report/{receipt.report_id}",
                    patient=_patient(report),
                )
            )

    def _take_merges(self, message: Message, at: datetime) -> None:
        if message.trigger not in MERGES:
            return
        merges = merges_in(message, self._identity, self._zone, received=at)
        with self._database.writing() as session:
            for merge in merges:
                add_merge(session, merge.system, merge.old, merge.new, at=merge.at)
        for merge in merges:
            self._audit.record(
                Access(
                    client=_source(message.header),
                    action="update",
                    what="hl7 ADT merge",
                    patient=f"{merge.system}|{merge.new}",
                )
            )


def _verdict(code: str) -> str:
    return _REJECTED if code in _REJECTIONS else _ERROR


def _source(header: Header) -> str:
    """Return the sender; the same order number from another sender is another report."""
    source = f"hl7 {header.sending_application}@{header.sending_facility}"
    if len(source) > _LONGEST_SOURCE:
        raise MessageNotAcceptedError("bad_identifier", "MSH-3 and MSH-4 must have 59 characters at most together")
    return source


def _patient(report: ReportMessage) -> str | None:
    system, value = report.header.identifier_system, report.header.identifier_value
    return f"{system}|{value}" if system and value else None


def _acknowledgement(header: Header, verdict: str, at: datetime, error: NotAcceptedError | None = None) -> bytes:
    """Return ACK with MSA and, for a refusal, ERR (HL7 2.5.1 chapter 2.9)."""
    field, component = header.delimiters[0], header.delimiters[1]
    code = ("C" if header.enhanced else "A") + verdict
    segments = [
        [
            f"MSH{header.delimiters}",
            header.receiving_application,
            header.receiving_facility,
            header.sending_application,
            header.sending_facility,
            at.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000"),
            "",
            component.join(filter(None, ["ACK", header.trigger, "ACK"])),
            uuid.uuid4().hex[:20],
            header.processing_id,
            header.version,
            *[""] * 5,
            "UNICODE UTF-8",
        ],
        ["MSA", code, header.control_id],
    ]
    if error is not None:
        number, words = _CODES.get(error.code, _OTHERWISE)
        reason = _escaped(error.reason, header.delimiters)
        kind = component.join([number, words, "HL70357"])
        segments.append(["ERR", "", "", kind, "E", error.code, "", "", reason])
    return "".join(field.join(segment) + "\r" for segment in segments).encode("utf-8", "replace")


def _escaped(text: str, delimiters: str) -> str:
    escape = delimiters[3]
    names = {delimiters[0]: "F", delimiters[1]: "S", delimiters[4]: "T", delimiters[2]: "R", escape: "E"}
    return "".join(f"{escape}{names[letter]}{escape}" if letter in names else letter for letter in text)
