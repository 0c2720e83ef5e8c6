"""Calls to archives by TLS: everything that is asked and sent goes through it, or not at all."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DigitalXRayImageStorageForPresentation as Dx
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComprehensiveSRStorage,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from cds.dicom.commitment import Commitments
from cds.dicom.nodes import Node, nodes_of
from cds.dicom.peers import Peer
from cds.errors import ConfigurationError, DeliveryError
from cds.operating.network import calling_tls
from cds.outputs import make_objects
from cds.settings import Settings
from cds.store import BlobFolder, Database
from tests.cds.outputs.test_outputs import source

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class SecureArchive:
    """An archive whose port speaks TLS and asks callers for a certificate; it notes what it was asked."""

    def __init__(self, certificate: dict[str, Path]) -> None:
        self.asked: list[str] = []
        self.reported = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate["tls_certificate"], certificate["tls_key"])
        context.load_verify_locations(certificate["tls_certificate"])
        context.verify_mode = ssl.CERT_REQUIRED
        entity = AE("ARCHIVE")
        for sop_class in (
            Verification,
            ComprehensiveSRStorage,
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelMove,
        ):
            entity.add_supported_context(sop_class)
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        handlers = [
            (evt.EVT_C_ECHO, self._note("echo")),
            (evt.EVT_C_STORE, self._note("store")),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_N_ACTION, self._commit),
            (evt.EVT_N_EVENT_REPORT, self._hear),
        ]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=context)

    def _note(self, what: str) -> Any:
        def note(_: Any) -> int:
            self.asked.append(what)
            return 0x0000

        return note

    def _find(self, _: Any) -> Iterator[tuple[int, Dataset]]:
        self.asked.append("find")
        found = Dataset()
        found.QueryRetrieveLevel, found.StudyInstanceUID, found.StudyDate = "STUDY", "2.25.5", "20260101"
        yield 0xFF00, found

    def _move(self, _: Any) -> Iterator[Any]:
        self.asked.append("move")
        yield "127.0.0.1", 1
        yield 0

    def _commit(self, _: Any) -> tuple[int, None]:
        self.asked.append("commit")
        return 0x0000, None

    def _hear(self, _: Any) -> tuple[int, None]:
        self.reported.set()
        return 0x0000, None


@pytest.fixture
def archive(certificate: dict[str, Path]) -> Iterator[SecureArchive]:
    archive = SecureArchive(certificate)
    yield archive
    archive.server.shutdown()


def node_of(archive: SecureArchive, settings: Settings, **more: Any) -> Node:
    port = archive.server.server_address[1]
    entry = {"id": "pacs", "ae_title": "ARCHIVE", "host": "localhost", "port": port, "send": "c-store", "tls": True}
    (node,) = nodes_of([{**entry, **more}], {}, calling_tls(settings))
    return node


@pytest.fixture
def trusting(certificate: dict[str, Path]) -> Settings:
    return Settings(dicom_tls_ca=certificate["tls_certificate"], **certificate)


def test_everything_an_archive_is_asked_and_sent_goes_by_tls(archive: SecureArchive, trusting: Settings) -> None:
    peer = Peer(node_of(archive, trusting), "ROENTGEN")
    peer.greet()
    peer.send(make_objects(source())[0].written())
    assert [study.uid for study in peer.studies_of("4711", None)] == ["2.25.5"]
    peer.move("2.25.5")
    peer.ask_commitment([(str(ComprehensiveSRStorage), "2.25.6")])
    assert archive.asked == ["echo", "store", "find", "move", "commit"]


def test_a_commitment_is_reported_by_tls(
    archive: SecureArchive, trusting: Settings, database: Database, blobs: BlobFolder
) -> None:
    node = node_of(archive, trusting)
    commitments = Commitments(database, blobs, [node], "ROENTGEN")
    commitments._send_to(node, commitments.report_on("2.25.77", [(str(Dx), "2.25.1")]))
    assert archive.reported.wait(20)


@pytest.mark.parametrize("missing", ["dicom_tls_ca", "tls_certificate"])
def test_nothing_is_sent_to_an_archive_that_is_not_who_it_should_be_or_does_not_trust_us(
    archive: SecureArchive, certificate: dict[str, Path], missing: str
) -> None:
    given = {"dicom_tls_ca": certificate["tls_certificate"], **certificate}
    settings = Settings(**{name: value for name, value in given.items() if name != missing})
    with pytest.raises(DeliveryError) as refused:
        Peer(node_of(archive, settings), "ROENTGEN").send(make_objects(source())[0].written())
    assert not refused.value.for_good
    assert archive.asked == []


def test_an_archive_under_another_name_than_its_certificate_gets_nothing(
    archive: SecureArchive, trusting: Settings
) -> None:
    with pytest.raises(DeliveryError):
        Peer(node_of(archive, trusting, host="127.0.0.1"), "ROENTGEN").greet()


def test_tls_is_never_left_out_where_it_is_asked_for(certificate: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="context"):
        nodes_of([{"id": "x", "ae_title": "X", "host": "localhost", "port": 104, "tls": True}], {})
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        calling_tls(Settings(dicom_tls_ca=tmp_path / "ca.pem"))
