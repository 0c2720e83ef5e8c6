"""Storage commitment: yes only for what is kept, and what another has not kept is sent again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DigitalXRayImageStorageForPresentation as Dx
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from cds.arrival import FilmArrivals
from cds.dicom.commitment import Commitments
from cds.dicom.nodes import Node
from cds.jobs.queue import DELIVERY, claim, enqueue, finish, job_state
from cds.store import BlobFolder, Database
from tests.cds.dicom.conftest import Listen

FilmMaker = Callable[..., bytes]


class Asker:
    """A peer that asks for commitment and hears the report, on a port of its own or on the same association."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, Dataset]] = []
        self.heard = threading.Event()
        entity = AE("ASKER")
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=self.handlers)

    @property
    def handlers(self) -> list[Any]:
        return [(evt.EVT_N_EVENT_REPORT, self._hear)]

    def _hear(self, event: Any) -> tuple[int, None]:
        self.reports.append((event.event_type, event.event_information))
        self.heard.set()
        return 0x0000, None

    def ask(self, port: int, instances: list[str], *, stay: bool = False, action: int = 1) -> int:
        """Ask, and return the status of the answer."""
        entity = AE("ASKER")
        entity.add_requested_context(StorageCommitmentPushModel)
        association = entity.associate("127.0.0.1", port, ae_title="ROENTGEN", evt_handlers=self.handlers)
        assert association.is_established
        request = Dataset()
        request.TransactionUID = "2.25.77"
        request.ReferencedSOPSequence = []
        for uid in instances:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = Dx, uid
            request.ReferencedSOPSequence.append(item)
        status, _ = association.send_n_action(
            request, action, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        if stay:
            assert self.heard.wait(20)
        association.release()
        return int(status.Status)


@pytest.fixture
def asker() -> Iterator[Asker]:
    asker = Asker()
    yield asker
    asker.server.shutdown()


@pytest.mark.parametrize("known", [True, False], ids=["to its own port", "on the same association"])
def test_only_what_is_kept_is_committed_to(
    listen: Listen, films: FilmArrivals, make_film: FilmMaker, at: datetime, asker: Asker, known: bool
) -> None:
    films.receive(make_film(), source="c-store", at=at)
    node = Node(id="asker", ae_title="ASKER", host="127.0.0.1", port=asker.server.server_address[1])
    receiver = listen(nodes=[node] if known else [])
    assert asker.ask(receiver.port, ["2.25.1", "2.25.404"], stay=not known) == 0x0000
    assert asker.heard.wait(20)
    kind, report = asker.reports[0]
    assert (kind, report.TransactionUID) == (2, "2.25.77")
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == ["2.25.1"]
    assert [(i.ReferencedSOPInstanceUID, i.FailureReason) for i in report.FailedSOPSequence] == [("2.25.404", 0x0112)]


def test_a_film_whose_bytes_are_gone_is_not_committed_to(
    films: FilmArrivals, database: Database, blobs: BlobFolder, make_film: FilmMaker, at: datetime
) -> None:
    films.receive(make_film(), source="c-store", at=at)
    commitments = Commitments(database, blobs, (), "ROENTGEN")
    assert "FailedSOPSequence" not in commitments.report_on("2.25.77", [(Dx, "2.25.1")])
    for file in [file for file in blobs.root.rglob("*") if file.is_file()]:
        file.unlink()
    assert "ReferencedSOPSequence" not in commitments.report_on("2.25.77", [(Dx, "2.25.1")])


def test_a_request_that_asks_for_nothing_or_something_else_is_refused(listen: Listen, asker: Asker) -> None:
    receiver = listen()
    assert asker.ask(receiver.port, []) == 0x0115
    assert asker.ask(receiver.port, ["2.25.1"], action=9) == 0x0123


def test_an_object_that_another_has_not_kept_is_sent_again(listen: Listen, database: Database) -> None:
    now = datetime.now(UTC)
    with database.writing() as session:
        enqueue(session, "send_object", "2.25.9", destination="pacs", at=now)
        job = claim(session, "test", DELIVERY, at=now)
        assert job is not None
        finish(session, job, "test", at=now)
    entity = AE("PACS")
    entity.add_requested_context(StorageCommitmentPushModel)
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    association = entity.associate("127.0.0.1", listen().port, ae_title="ROENTGEN", ext_neg=[role])
    report, item = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID, item.FailureReason = Dx, "2.25.9", 0x0112
    report.TransactionUID, report.FailedSOPSequence = "2.25.77", [item]
    status, _ = association.send_n_event_report(
        report, 2, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    association.release()
    assert status.Status == 0x0000
    with database.reading() as session:
        assert job_state(session, "send_object", "2.25.9", destination="pacs") == "queued"
