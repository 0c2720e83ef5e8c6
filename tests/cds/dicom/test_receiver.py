"""C-STORE: acknowledged only when stored; whoever else calls, and whatever is sent, the next film still arrives."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)
from pynetdicom import AE
from pynetdicom.dsutils import encode
from sqlalchemy.exc import OperationalError

from cds.audit import AuditTrail
from cds.dicom.receiver import Receiver
from cds.errors import ConfigurationError
from cds.store import BlobFolder, Database
from cds.store.tables import FilmRow, JobRow
from tests.cds.dicom.conftest import Listen, calling, dataset_of, send_bytes

# The peer's library leaves the socket of an association that was refused to the garbage collector.

FilmMaker = Callable[..., bytes]
DX = DigitalXRayImageStorageForPresentation
_ASSOCIATE, _P_DATA = 1, 4


def stored(database: Database) -> list[FilmRow]:
    with database.reading() as session:
        return list(session.query(FilmRow).all())


def still_receives(receiver: Receiver, film: bytes) -> bool:
    """Whether a well-meaning peer is served."""
    with calling(receiver.port) as association:
        return bool(association.is_established and association.send_c_store(dataset_of(film)).Status == 0)


def test_a_peer_may_ask_whether_we_are_there(listen: Listen) -> None:
    with calling(listen().port) as association:
        assert association.send_c_echo().Status == 0


def test_a_film_that_is_acknowledged_is_stored_as_sent_and_queued(
    listen: Listen, make_film: FilmMaker, database: Database, blobs: BlobFolder
) -> None:
    film = dataset_of(make_film(IssuerOfPatientID=None))
    with calling(listen().port) as association:
        assert association.send_c_store(film).Status == 0
        assert association.send_c_store(film).Status == 0
    (row,) = stored(database)
    assert (row.source, row.identifier_system) == ("c-store", "urn:oid:2.999.1"), "the calling AE names the issuer"
    kept = dataset_of(blobs.get(row.sha256))
    assert kept.file_meta.TransferSyntaxUID == film.file_meta.TransferSyntaxUID
    assert kept.PixelData == film.PixelData
    with database.reading() as session:
        assert [job.kind for job in session.query(JobRow)] == ["analyse_film"]


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (OSError(errno.ENOSPC, "no space left"), 0xA700),
        (MemoryError(), 0xA700),
        (OperationalError("", {}, Exception("database is locked")), 0xA700),
        (RuntimeError("planted"), 0x0110),
    ],
)
def test_what_cannot_be_stored_is_never_acknowledged(
    listen: Listen,
    make_film: FilmMaker,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception,
    status: int,
) -> None:
    def broken(*_: Any) -> str:
        raise trouble

    with calling(listen().port) as association:
        with monkeypatch.context() as patch:
            patch.setattr(BlobFolder, "put", broken)
            assert association.send_c_store(dataset_of(make_film())).Status == status
        assert stored(database) == []
        assert association.send_c_store(dataset_of(make_film())).Status == 0, "the same association goes on"


def test_a_lying_instance_is_refused(listen: Listen, make_film: FilmMaker, database: Database) -> None:
    other = encode(dataset_of(make_film(SOPInstanceUID="2.25.66")), is_implicit_vr=False, is_little_endian=True) or b""
    no_study = encode(dataset_of(make_film(StudyInstanceUID=None)), is_implicit_vr=False, is_little_endian=True) or b""
    with calling(listen().port, syntaxes=[ExplicitVRLittleEndian]) as association:
        assert send_bytes(association, DX, "2.25.1", other) == 0xA900
        assert send_bytes(association, DX, "2.25.1", no_study) == 0xC000
        assert send_bytes(association, DX, "2.25.1", b"\x00" * 1000) == 0xC000
    assert stored(database) == []


def test_a_deflated_film_that_would_fill_the_memory_is_not_understood(listen: Listen, database: Database) -> None:
    deflating = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = deflating.compress(bytes(1 << 24)) + deflating.flush(zlib.Z_FULL_FLUSH)
    bomb = 40 * block
    with calling(listen(dicom_timeout_s=60.0).port, syntaxes=[DeflatedExplicitVRLittleEndian]) as association:
        assert send_bytes(association, DX, "2.25.1", bomb) == 0xC000
    assert stored(database) == []


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"dicom_calling_aes": ("NORTHPACS",)}, {"calling_ae": "STRANGER"}),
        ({}, {"called_ae": "ANOTHER"}),
        ({"dicom_addresses": ("10.0.3.0/24",)}, {}),
    ],
    ids=["calling AE", "called AE", "address"],
)
def test_who_is_not_allowed_gets_no_association(
    listen: Listen, settings: dict[str, Any], names: dict[str, str]
) -> None:
    with calling(listen(**settings).port, **names) as association:
        assert not association.is_established


def test_who_is_allowed_is_served(listen: Listen, make_film: FilmMaker) -> None:
    receiver = listen(dicom_calling_aes=("XRAY1", "NORTHPACS"), dicom_addresses=("10.0.3.0/24", "127.0.0.0/8"))
    assert still_receives(receiver, make_film())


def test_what_is_received_stands_in_the_audit_trail(listen: Listen, make_film: FilmMaker, audit: AuditTrail) -> None:
    receiver = listen()
    assert still_receives(receiver, make_film())
    (entry,) = audit.entries()
    assert (entry.client, entry.what, entry.action) == ("dicom:NORTHPACS", "C-STORE", "create")


def test_objects_that_are_no_films_are_refused_at_negotiation(listen: Listen) -> None:
    peer = AE("NORTHPACS")
    peer.add_requested_context(ComprehensiveSRStorage)
    peer.add_requested_context(CTImageStorage)
    association = peer.associate("127.0.0.1", listen().port, ae_title="ROENTGEN")
    assert not association.accepted_contexts
    association.abort()


def connected(receiver: Receiver) -> socket.socket:
    return socket.create_connection(("127.0.0.1", receiver.port), timeout=20)


def is_closed(peer: socket.socket) -> bool:
    """Whether the other end gives the connection up."""
    peer.settimeout(20)
    with contextlib.suppress(ConnectionError):
        while peer.recv(4096):
            pass
    return True


@pytest.mark.parametrize(
    "sent", [b"", b"\x01\x00", b"\x01\x00\x00\x00\x01\x00" + b"\x00" * 20], ids=["", "header", "part"]
)
def test_a_half_open_connection_holds_up_nobody_and_ends(listen: Listen, make_film: FilmMaker, sent: bytes) -> None:
    receiver = listen(dicom_timeout_s=0.7)
    with connected(receiver) as peer:
        peer.sendall(sent)
        assert still_receives(receiver, make_film())
        assert is_closed(peer)


def test_more_connections_than_allowed_are_closed_and_the_places_come_back(
    listen: Listen, make_film: FilmMaker
) -> None:
    receiver = listen(dicom_max_associations=1, dicom_timeout_s=1.0)
    with contextlib.ExitStack() as open_ones:
        peers = [open_ones.enter_context(connected(receiver)) for _ in range(12)]
        assert all(is_closed(peer) for peer in peers)
    assert eventually(lambda: still_receives(receiver, make_film()))


def eventually(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False


def negotiated(receiver: Receiver, peer: socket.socket) -> None:
    """Negotiate an association for DX over a bare socket."""
    application = item(0x10, b"1.2.840.10008.3.1.1.1")
    contexts = item(0x20, b"\x01\x00\x00\x00" + item(0x30, DX.encode()) + item(0x40, b"1.2.840.10008.1.2.1"))
    user = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"2.25.7"))
    body = struct.pack(">HH16s16s32s", 1, 0, b"ROENTGEN".ljust(16), b"NORTHPACS".ljust(16), b"") + application
    peer.sendall(pdu(_ASSOCIATE, body + contexts + user))
    assert peer.recv(4096)[0] == 2, "accepted"


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def fragment(data: bytes) -> bytes:
    """A P-DATA-TF with a piece of a data set that is never the last."""
    return pdu(_P_DATA, struct.pack(">LBB", len(data) + 2, 1, 0) + data)


def test_a_pdu_longer_than_negotiated_is_not_read(listen: Listen, make_film: FilmMaker) -> None:
    receiver = listen()
    for negotiate in (False, True):
        with connected(receiver) as peer:
            if negotiate:
                negotiated(receiver, peer)
            peer.sendall(pdu(_P_DATA if negotiate else _ASSOCIATE, b"", length=0xFFFFFFF0))
            assert is_closed(peer)
    assert still_receives(receiver, make_film())


def test_a_flood_of_fragments_that_never_ends_is_cut_off(listen: Listen, make_film: FilmMaker) -> None:
    receiver = listen(max_body_mb=1)
    with connected(receiver) as peer:
        negotiated(receiver, peer)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 64 * 1024 * 1024:
                peer.sendall(fragment(bytes(16000)))
                sent += 16000
        assert is_closed(peer)
    assert sent < 32 * 1024 * 1024
    assert still_receives(receiver, make_film())


def test_a_peer_that_sends_on_without_awaiting_answers_is_slowed_down(listen: Listen, make_film: FilmMaker) -> None:
    receiver = listen()
    echo = pdu(_P_DATA, command(ECHO_REQUEST))
    with connected(receiver) as peer:
        negotiated(receiver, peer)
        peer.settimeout(1)
        with contextlib.suppress(OSError):
            for _ in range(20000):
                peer.sendall(echo)
        associations = receiver.associations()
        assert all(association.dimse.msg_queue.qsize() <= 3 for association in associations)
    assert still_receives(receiver, make_film())


ECHO_REQUEST = (
    b"\x00\x00\x02\x00\x12\x00\x00\x001.2.840.10008.1.1\x00"
    b"\x00\x00\x00\x01\x02\x00\x00\x000\x00\x00\x00\x10\x01\x02\x00\x00\x00\x01\x00"
    b"\x00\x00\x00\x08\x02\x00\x00\x00\x01\x01"
)


def command(elements: bytes) -> bytes:
    whole = b"\x00\x00\x00\x00\x04\x00\x00\x00" + struct.pack("<L", len(elements)) + elements
    return struct.pack(">LBB", len(whole) + 2, 1, 3) + whole


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=400), kind=st.integers(0, 255), associated=st.booleans())
def test_whatever_is_sent_the_next_peer_is_served(
    garbled: Receiver, make_film: FilmMaker, noise: bytes, kind: int, associated: bool
) -> None:
    with connected(garbled) as peer, contextlib.suppress(ConnectionError):
        if associated:
            negotiated(garbled, peer)
        peer.sendall(pdu(kind, noise))
        peer.shutdown(socket.SHUT_WR)
        is_closed(peer)
    with calling(garbled.port) as association:
        assert association.is_established
        assert association.send_c_echo().Status == 0


@pytest.fixture
def garbled(listen: Listen) -> Receiver:
    return listen(dicom_max_associations=20)


def client_context(certificate: dict[str, Path], *, with_own: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate["tls_certificate"]))
    context.check_hostname = False
    if with_own:
        context.load_cert_chain(certificate["tls_certificate"], certificate["tls_key"])
    return context


def test_tls_admits_peers_with_a_certificate_and_no_others(
    listen: Listen, make_film: FilmMaker, certificate: dict[str, Path]
) -> None:
    receiver = listen(dicom_tls=True, dicom_tls_ca=certificate["tls_certificate"], **certificate)
    with calling(receiver.port, tls_args=(client_context(certificate, with_own=True), "localhost")) as association:
        assert association.send_c_store(dataset_of(make_film())).Status == 0
    with calling(receiver.port, tls_args=(client_context(certificate, with_own=False), "localhost")) as association:
        assert not association.is_established
    with calling(receiver.port) as association:
        assert not association.is_established


def test_a_handshake_that_stops_half_way_holds_up_nobody(
    listen: Listen, make_film: FilmMaker, certificate: dict[str, Path]
) -> None:
    receiver = listen(dicom_tls=True, dicom_timeout_s=3.0, **certificate)
    with connected(receiver) as silent:
        with calling(receiver.port, tls_args=(client_context(certificate, with_own=False), "localhost")) as association:
            assert association.send_c_store(dataset_of(make_film())).Status == 0
        assert is_closed(silent)


def test_a_taken_port_and_unusable_tls_files_are_named(listen: Listen, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="dicom_port"):
        listen(dicom_port=listen().port)
    with pytest.raises(ConfigurationError, match="tls_certificate"):
        listen(dicom_tls=True)
    (tmp_path / "x.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        listen(dicom_tls=True, tls_certificate=tmp_path / "x.pem", tls_key=tmp_path / "x.pem")
