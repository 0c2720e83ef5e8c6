"""Results go back once the study is complete, as far as the site lets them, again when they change, at least once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    StorageCommitmentPushModel,
)

from cds.arrival import FilmArrivals
from cds.assessing.resolving import confirm_identity
from cds.audit import AuditTrail
from cds.dicom.nodes import Node, nodes_of
from cds.dicom.receiver import Receiver
from cds.dicom.returning import Returning
from cds.errors import ConfigurationError, DeliveryError, NotADicomFilmError, NotYetError
from cds.jobs.queue import DELIVERY, EXCHANGE, Job, claim, finish
from cds.settings import Gate
from cds.site.codes import FindingCodes
from cds.site.configuration import Configs
from cds.site.gates import Gates
from cds.store import BlobFolder, Database
from cds.store.films import PRIOR, film_by_id, recent_films, store_imaging_result
from cds.store.pacs_tables import DicomObjectRow
from cds.store.tables import FilmRow
from cds.store.verdicts import Verdict, add_verdict
from tests.cds.dicom.conftest import Listen, dataset_of
from tests.cds.outputs.test_outputs import RESULT

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
OBJECTS = (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)


class Archive:
    """A peer that keeps what it is sent, or answers with a status."""

    def __init__(self) -> None:
        self.kept: list[Dataset] = []
        self.asked: list[str] = []
        self.status = self.commitment = 0x0000
        entity = AE("ARCHIVE")
        for sop_class in OBJECTS:
            entity.add_supported_context(sop_class)
        entity.add_supported_context(StorageCommitmentPushModel)
        handlers = [(evt.EVT_C_STORE, self._keep), (evt.EVT_N_ACTION, self._commit)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)

    def _keep(self, event: Any) -> int:
        if self.status == 0:
            self.kept.append(event.dataset)
        return self.status

    def _commit(self, event: Any) -> tuple[int, None]:
        self.asked += [item.ReferencedSOPInstanceUID for item in event.action_information.ReferencedSOPSequence]
        return self.commitment, None

    @property
    def node(self) -> Node:
        return Node(id="pacs", ae_title="ARCHIVE", host="127.0.0.1", port=self.server.server_address[1], send="c-store")


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive()
    yield archive
    archive.server.shutdown()


class Site:
    """A store with one analysed film, and what sends its results to an archive."""

    def __init__(
        self, films: FilmArrivals, database: Database, blobs: BlobFolder, node: Node, audit: AuditTrail
    ) -> None:
        self.films, self.database, self.blobs, self.node, self.audit = films, database, blobs, node, audit

    def returning(self, gates: dict[str, Gate] | None = None, quiet: float = 0) -> Returning:
        codes = FindingCodes(Configs().findings())
        return Returning(
            self.database,
            self.blobs,
            codes,
            Gates(gates or {}),
            (self.node,),
            "ROENTGEN",
            timedelta(seconds=quiet),
            self.audit,
        )

    def film(
        self, returning: Returning, *, source: str = "c-store", at: datetime | None = None, data: bytes = b""
    ) -> str:
        at = at or datetime.now(UTC)
        film = self.films.receive(data or chest(), source=source, at=at).film_id
        with self.database.writing() as session:
            store_imaging_result(session, film, RESULT, at=at)
            returning.analysed(session, Job("1", "analyse_film", film, 1), at)
        return film

    def judge(self, returning: Returning, film: str, finding: str, verdict: Verdict) -> None:
        at = datetime.now(UTC)
        judged = RESULT.finding(finding)
        assert judged is not None
        with self.database.writing() as session:
            returning.judged(session, add_verdict(session, film, judged, verdict, said_by="reader", at=at), at)

    def work(self, returning: Returning) -> None:
        """Do all jobs that are due, as a worker does."""
        work = {
            "make_objects": returning.make,
            "withdraw_objects": returning.withdraw_all,
            "send_object": returning.send,
        }
        for lane in (EXCHANGE, DELIVERY):
            while True:
                later = datetime.now(UTC) + timedelta(seconds=5)
                with self.database.writing() as session:
                    job = claim(session, "test", lane, at=later)
                if job is None:
                    break
                work[job.kind](job)
                with self.database.writing() as session:
                    assert finish(session, job, "test", at=later)


@pytest.fixture
def site(films: FilmArrivals, database: Database, blobs: BlobFolder, archive: Archive, audit: AuditTrail) -> Site:
    return Site(films, database, blobs, archive.node, audit)


def chest() -> bytes:
    return Path(str(get_testdata_file("RG1_J2KI.dcm", download=False))).read_bytes()


def kinds(datasets: list[Dataset]) -> list[str]:
    return [dataset.Modality for dataset in datasets]


def said(report: Dataset) -> str:
    return str(report)


def test_objects_arrive_in_the_study_and_in_the_audit_trail(site: Site, archive: Archive, audit: AuditTrail) -> None:
    returning = site.returning()
    site.film(returning)
    site.work(returning)
    assert kinds(archive.kept) == ["SR", "SEG", "PR", "OT"]
    study = pydicom.dcmread(Path(str(get_testdata_file("RG1_J2KI.dcm", download=False)))).StudyInstanceUID
    assert {dataset.StudyInstanceUID for dataset in archive.kept} == {study}
    assert [entry.what for entry in audit.entries()].count("send report") == 1


def test_nothing_goes_back_before_the_study_is_complete(site: Site, archive: Archive) -> None:
    returning = site.returning(quiet=300)
    film = site.film(returning)
    with pytest.raises(NotYetError) as waiting:
        returning.make(Job("1", "make_objects", film, 1))
    assert timedelta(seconds=250) < waiting.value.until - datetime.now(UTC) <= timedelta(seconds=300)
    returning = site.returning(quiet=300)
    with site.database.writing() as session:
        session.get_one(FilmRow, film).received_at = datetime.now(UTC) - timedelta(seconds=301)
    returning.make(Job("1", "make_objects", film, 1))


def test_a_study_is_complete_when_as_many_films_are_here_as_the_archive_says(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.node = site.node.model_copy(update={"priors": 1})
    returning = site.returning(quiet=300)
    film = site.film(returning)
    counts = {2: False, 1: True}
    for count, complete in counts.items():
        monkeypatch.setattr("cds.dicom.peers.Peer.instances_in", lambda *_, count=count: count)
        if complete:
            returning.make(Job("1", "make_objects", film, 1))
        else:
            with pytest.raises(NotYetError):
                returning.make(Job("1", "make_objects", film, 1))


def test_what_waits_for_a_person_stays_until_the_verdict_and_what_is_off_stays_for_good(
    site: Site, archive: Archive
) -> None:
    returning = site.returning({"lung_mass": "review_first", "aortic_tortuosity": "off"})
    film = site.film(returning)
    site.work(returning)
    assert kinds(archive.kept) == ["SR", "SEG"]
    assert "Lung mass" not in said(archive.kept[0])
    assert "aortic_tortuosity" not in said(archive.kept[0])
    site.judge(returning, film, "lung_mass", "agree")
    site.work(returning)
    assert kinds(archive.kept[2:]) == ["SR", "SEG", "PR", "OT", "KO"]
    assert "Lung mass" in said(archive.kept[2])
    assert "aortic_tortuosity" not in said(archive.kept[2])


def test_a_finding_that_a_person_refuses_is_taken_back(site: Site, archive: Archive) -> None:
    returning = site.returning()
    film = site.film(returning)
    site.work(returning)
    site.judge(returning, film, "lung_mass", "disagree")
    site.work(returning)
    first, note = archive.kept[:4], archive.kept[-1]
    assert "Lung mass" not in said(archive.kept[4])
    rejected = {
        instance.ReferencedSOPInstanceUID
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert rejected == {dataset.SOPInstanceUID for dataset in first}
    assert not rejected & {dataset.SOPInstanceUID for dataset in archive.kept[4:]}


def test_a_verdict_that_changes_nothing_sends_nothing(site: Site, archive: Archive) -> None:
    returning = site.returning()
    film = site.film(returning)
    site.work(returning)
    site.judge(returning, film, "lung_mass", "agree")
    site.work(returning)
    assert len(archive.kept) == 4


def test_a_corrected_film_takes_back_what_was_said_of_the_first(site: Site, archive: Archive) -> None:
    returning = site.returning()
    site.film(returning)
    site.work(returning)
    site.film(returning, data=corrected())
    site.work(returning)
    assert kinds(archive.kept[4:]) == ["SR", "SEG", "PR", "OT", "KO"]
    assert archive.kept[4].PatientSex == "M"


def corrected() -> bytes:
    import io

    film = pydicom.dcmread(io.BytesIO(chest()))
    film.PatientSex = "M"
    file = io.BytesIO()
    film.save_as(file)
    return file.getvalue()


def test_what_was_made_of_a_film_that_is_another_patients_is_taken_back(site: Site, archive: Archive) -> None:
    returning, identity = site.returning(), Configs().identity()
    film = site.film(returning)
    site.work(returning)
    (issuer, *_) = identity.issuers
    word = {"by": "reader", "reason": "the wristband", "at": datetime.now(UTC)}
    with site.database.writing() as session:
        row = session.get_one(FilmRow, film)
        row.identifier_system, row.identifier_value = issuer.system, "first"
        confirm_identity(session, "film", film, (issuer.system, "first"), identity, **word)
    site.work(returning)
    assert len(archive.kept) == 4, "its own patient's"
    with site.database.writing() as session:
        confirm_identity(session, "film", film, (issuer.system, "second"), identity, **word)
    site.work(returning)
    assert kinds(archive.kept[4:]) == ["KO"]
    with site.database.reading() as session:
        assert {row.withdrawn_at is None for row in session.query(DicomObjectRow)} == {False}
    site.judge(returning, film, "lung_mass", "agree")
    site.work(returning)
    assert len(archive.kept) == 5, "nothing goes into the study of another patient any more"


def test_nothing_is_made_of_a_prior_and_it_is_on_no_worklist(site: Site, archive: Archive) -> None:
    returning = site.returning()
    film = site.film(returning, source=PRIOR)
    site.work(returning)
    assert archive.kept == []
    with site.database.reading() as session:
        assert recent_films(session, limit=10) == []
    site.films.receive(chest(), source="c-store", at=datetime.now(UTC))
    with site.database.reading() as session:
        assert [stored.row.id for stored in recent_films(session, limit=10)] == [film], "it has arrived by itself"
        assert film_by_id(session, film) is not None


@pytest.mark.parametrize(("status", "for_good"), [(0xA700, False), (0x0110, False), (0xC000, True), (0xA900, True)])
def test_what_does_not_arrive_is_sent_again_as_it_was(
    site: Site, archive: Archive, status: int, for_good: bool
) -> None:
    returning = site.returning()
    site.film(returning)
    archive.status = status
    with pytest.raises(DeliveryError) as refused:
        site.work(returning)
    assert refused.value.for_good == for_good
    archive.status = 0
    with site.database.reading() as session:
        first = session.query(DicomObjectRow).filter_by(kind="report").one()
    returning.send(Job("1", "send_object", first.sop_instance_uid, 2, "pacs"))
    returning.send(Job("1", "send_object", first.sop_instance_uid, 3, "pacs"))
    assert archive.kept[0].SOPInstanceUID == archive.kept[1].SOPInstanceUID == first.sop_instance_uid
    assert archive.kept[0] == archive.kept[1]


def test_an_archive_is_asked_to_keep_what_it_was_sent_and_sent_it_again_where_it_does_not_answer_for_it(
    site: Site, archive: Archive
) -> None:
    site.node = site.node.model_copy(update={"confirm": True})
    returning = site.returning()
    site.film(returning)
    site.work(returning)
    assert archive.asked == [dataset.SOPInstanceUID for dataset in archive.kept]
    archive.commitment = 0x0110
    with pytest.raises(DeliveryError) as refused:
        returning.send(Job("1", "send_object", archive.asked[0], 2, "pacs"))
    assert not refused.value.for_good
    archive.commitment = 0x0000
    returning.send(Job("1", "send_object", archive.asked[0], 3, "pacs"))
    assert archive.asked[-1] == archive.kept[-1].SOPInstanceUID == archive.asked[0]


def test_an_archive_that_is_gone_is_a_reason_to_try_again(site: Site, archive: Archive, free_port: int) -> None:
    site.node = site.node.model_copy(update={"port": free_port})
    returning = site.returning()
    site.film(returning)
    with pytest.raises(DeliveryError) as refused:
        site.work(returning)
    assert not refused.value.for_good


def test_our_own_picture_that_comes_back_is_no_film(site: Site, archive: Archive, listen: Listen) -> None:
    returning = site.returning()
    site.film(returning)
    site.work(returning)
    with site.database.reading() as session:
        capture = session.query(DicomObjectRow).filter_by(kind="capture").one()
    with pytest.raises(NotADicomFilmError) as refused:
        site.films.receive(site.blobs.get(capture.sha256), source="stow", at=datetime.now(UTC))
    assert refused.value.code == "own_object"
    receiver: Receiver = listen(max_body_mb=64)
    entity = AE("ARCHIVE")
    entity.add_requested_context(SecondaryCaptureImageStorage)
    association = entity.associate("127.0.0.1", receiver.port, ae_title="ROENTGEN")
    assert association.send_c_store(dataset_of(site.blobs.get(capture.sha256))).Status == 0
    association.release()
    with site.database.reading() as session:
        assert session.query(FilmRow).count() == 1


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"id": "x", "send": "c-store"}, "ae_title"),
        ({"id": "x", "send": "stow"}, "dicomweb"),
        ({"id": "x", "watch": True}, "dicomweb"),
        ({"id": "x", "priors": 2}, "priors"),
        ({"id": "x", "prot": 2}, "prot"),
        ({"id": "X Y"}, "id"),
    ],
)
def test_a_node_that_cannot_be_reached_as_configured_is_named(entry: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        nodes_of([entry], {})
    with pytest.raises(ConfigurationError, match="no node 'y'"):
        nodes_of([], {"y": None})  # type: ignore[dict-item]
