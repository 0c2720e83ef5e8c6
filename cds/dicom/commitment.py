"""Storage commitment (PS3.4 annex J): whether we keep the films of others, and others keep our objects."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pydicom.dataset import Dataset
from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from sqlalchemy import select

from cds.dicom.calling import called
from cds.dicom.nodes import Node
from cds.errors import DeliveryError
from cds.jobs.queue import begin_again
from cds.operating.logs import logger, place_of
from cds.store import BlobFolder, Database
from cds.store.tables import FilmRow, JobRow

SUCCESS, NO_SUCH_ACTION, INVALID_ARGUMENT = 0x0000, 0x0123, 0x0115
_REQUEST, _ALL_KEPT, _SOME_NOT = 1, 1, 2
_NO_SUCH_INSTANCE = 0x0112
_MOST = 10_000
_PAUSES = (0.2, 2.0, 10.0)
_log = logger(__name__)


class Commitments:
    """Answers requests for storage commitment, and takes the reports of others."""

    def __init__(self, database: Database, blobs: BlobFolder, nodes: Sequence[Node], our_title: str) -> None:
        self._database = database
        self._blobs = blobs
        self._nodes = nodes
        self._our_title = our_title

    def requested(self, event: evt.Event) -> tuple[int, None]:
        """Take a request (N-ACTION); the report follows by itself, to the node where it is known, else here."""
        if event.action_type != _REQUEST:
            return NO_SUCH_ACTION, None
        try:
            asked = event.action_information
            transaction, references = str(asked.TransactionUID), list(asked.ReferencedSOPSequence)
            named = [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in references]
        except Exception:  # noqa: BLE001 - a malformed data set makes the parser raise whatever there is
            return INVALID_ARGUMENT, None
        if not 0 < len(named) <= _MOST:
            return INVALID_ARGUMENT, None
        answer = self.report_on(transaction, named)
        threading.Thread(target=self._report, args=(event.assoc, answer), name="commitment", daemon=True).start()
        return SUCCESS, None

    def reported(self, event: evt.Event) -> tuple[int, None]:
        """Take a report (N-EVENT-REPORT) on objects of ours; what was not kept is sent again."""
        try:
            failed = [str(i.ReferencedSOPInstanceUID) for i in event.event_information.get("FailedSOPSequence") or ()]
        except Exception:  # noqa: BLE001 - a malformed data set makes the parser raise whatever there is
            return INVALID_ARGUMENT, None
        self.send_again(failed)
        return SUCCESS, None

    def report_on(self, transaction: str, named: Iterable[tuple[str, str]]) -> Dataset:
        """Return which instances are kept here, bytes and all, and which are not."""
        report = Dataset()
        report.TransactionUID = transaction
        kept: list[Dataset] = []
        missing: list[Dataset] = []
        with self._database.reading() as session:
            for sop_class, instance in named:
                query = select(FilmRow.sha256).where(FilmRow.sop_instance_uid == instance)
                held = any(self._blobs.path(digest).is_file() for digest in session.scalars(query))
                (kept if held else missing).append(_item(sop_class, instance, held))
        if kept:
            report.ReferencedSOPSequence = kept
        if missing:
            report.FailedSOPSequence = missing
        return report

    def send_again(self, instances: Sequence[str]) -> None:
        """Queue objects again that another system says it has not kept."""
        if not instances:
            return
        _log.warning("objects not committed", count=len(instances))
        with self._database.writing() as session:
            query = select(JobRow.id).where(JobRow.kind == "send_object", JobRow.subject_id.in_(instances))
            begin_again(session, list(session.scalars(query)), at=datetime.now(UTC))

    def _report(self, association: Association, answer: Dataset) -> None:
        title = association.requestor.ae_title
        node = next((node for node in self._nodes if node.ae_title == title and node.speaks_dicom), None)
        for pause in _PAUSES:
            threading.Event().wait(pause)
            try:
                if node is None:
                    _send_report(association, answer)
                else:
                    self._send_to(node, answer)
            except (RuntimeError, ValueError, OSError, DeliveryError) as error:
                _log.warning("commitment not reported", **place_of(error))
                continue
            return

    def _send_to(self, node: Node, answer: Dataset) -> None:
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        with called(node, self._our_title, [(StorageCommitmentPushModel, None)], roles=[role]) as association:
            _send_report(association, answer)


def ask_commitment(association: Association, named: Sequence[tuple[str, str]], transaction: str) -> int | None:
    """Ask a peer to commit to instances (N-ACTION); returns the status, None where there was no answer."""
    request = Dataset()
    request.TransactionUID = transaction
    request.ReferencedSOPSequence = [_item(sop_class, instance, True) for sop_class, instance in named]
    status, _ = association.send_n_action(
        request, _REQUEST, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    return int(status.Status) if "Status" in status else None


def _send_report(association: Association, answer: Dataset) -> None:
    kind = _SOME_NOT if "FailedSOPSequence" in answer else _ALL_KEPT
    status, _ = association.send_n_event_report(
        answer, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    if "Status" not in status or status.Status != SUCCESS:
        raise ConnectionError("the report was not taken")


def _item(sop_class: str, instance: str, held: bool) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    if not held:
        item.FailureReason = _NO_SUCH_INSTANCE
    return item
