"""Thousands of broken associations, messages and films: none is half stored, and the next good film always arrives."""

from __future__ import annotations

import contextlib
import gc
import io
import random
import resource
import socket
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from pydicom.uid import DigitalXRayImageStorageForPresentation as Dx
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF

from cds.api import create_app
from cds.dicom.receiver import Receiver
from cds.service import Service
from cds.settings import Settings
from cds.store import BlobFolder, Database
from cds.store.tables import FilmRow, JobRow
from tests.cds.dicom.conftest import Listen, calling, dataset_of

FilmMaker = Callable[..., bytes]
_PIECE = 4096
_MOST_MEGABYTES = 400
_STEP = 100


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def association(syntax: bytes) -> bytes:
    """Return an A-ASSOCIATE-RQ for digital radiographs."""
    body = struct.pack(">HH16s16s32s", 1, 0, b"ROENTGEN".ljust(16), b"NORTHPACS".ljust(16), b"")
    contexts = item(0x20, b"\x01\x00\x00\x00" + item(0x30, Dx.encode()) + item(0x40, syntax))
    user = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"2.25.7"))
    return pdu(1, body + item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user)


def store_request(uid: str, dataset: bytes) -> list[bytes]:
    """Return the P-DATA-TF PDUs of a C-STORE."""
    request = C_STORE()
    request.MessageID, request.Priority = 7, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = Dx, uid
    request.DataSet = io.BytesIO(dataset)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    pdus = []
    for primitive in message.encode_msg(1, _PIECE):
        made = P_DATA_TF()
        made.from_primitive(primitive)
        pdus.append(made.encode())
    return pdus


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Return bytes with some of them changed, cut, doubled, or made to claim another length."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        place = dice.randrange(max(len(out), 1))
        match dice.randrange(6):
            case 0:
                out[place : place + 1] = dice.randbytes(1)
            case 1:
                out[place : place + 4] = dice.choice((b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff"))
            case 2:
                del out[place : place + dice.randrange(1, 64)]
            case 3:
                out[place:place] = dice.randbytes(dice.randrange(1, 64))
            case 4:
                out[place:place] = out[place : place + dice.randrange(1, 256)]
            case _:
                del out[place + dice.randrange(512) :]
    return bytes(out)


def hostile_stream(film: pydicom.Dataset, dice: random.Random) -> bytes:
    """Return what a broken or ill-meaning peer sends: a good conversation, damaged in one of its layers."""
    dataset = encode(film, is_implicit_vr=False, is_little_endian=True) or b""
    syntax, uid = b"1.2.840.10008.1.2.1", str(film.SOPInstanceUID)
    match dice.randrange(6):
        case 0:
            return damaged(association(syntax), dice) + b"".join(store_request(uid, dataset))
        case 1:
            return association(syntax) + b"".join(store_request(uid, damaged(dataset, dice)))
        case 2:
            pdus = [damaged(one, dice) if dice.random() < 0.3 else one for one in store_request(uid, dataset)]
            return association(syntax) + b"".join(pdus)
        case 3:
            pdus = store_request(uid, dataset)
            dice.shuffle(pdus)
            return association(syntax) + b"".join(pdus[: dice.randrange(len(pdus) + 1)])
        case 4:
            packed = zlib.compress(bytes(1 << 22), wbits=-zlib.MAX_WBITS)
            return association(b"1.2.840.10008.1.2.1.99") + b"".join(store_request(uid, damaged(packed, dice)))
        case _:
            flood = dice.choice((association(syntax), pdu(4, b""), pdu(5, bytes(4)), pdu(dice.randrange(256), b"\x00")))
            return association(syntax) + flood * dice.randrange(1, 200)


def send(receiver: Receiver, stream: bytes) -> None:
    """Send a stream and wait for the other end to be done with it."""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=30) as peer, contextlib.suppress(OSError):
        peer.sendall(stream)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass


def require_whole(database: Database, blobs: BlobFolder) -> int:
    """Hold every stored film to what was promised of it; returns how many there are."""
    with database.reading() as session:
        films = {row.id: row for row in session.query(FilmRow)}
        jobs = sorted(job.subject_id for job in session.query(JobRow).filter_by(kind="analyse_film"))
    assert jobs == sorted(films), "one job for each film"
    for row in films.values():
        kept = pydicom.dcmread(io.BytesIO(blobs.get(row.sha256)), defer_size=1024)
        assert (kept.SOPInstanceUID, kept.StudyInstanceUID) == (row.sop_instance_uid, row.study_instance_uid)
    assert not list(blobs.root.rglob(".incoming-*"))
    return len(films)


def require_little_memory(before: int) -> None:
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < _MOST_MEGABYTES, f"memory grew by {grown:.0f} MB"


def attack_receiver(listen: Listen, make_film: FilmMaker, database: Database, blobs: BlobFolder, count: int) -> None:
    receiver = listen(dicom_timeout_s=2.0, dicom_max_associations=20)
    film, dice = dataset_of(make_film()), random.Random(count)  # noqa: S311
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        film.SOPInstanceUID = f"2.25.6{number}"
        send(receiver, hostile_stream(film, dice))
        if number % _STEP == 0:
            good = dataset_of(make_film(SOPInstanceUID=f"2.25.5{number}"))
            with calling(receiver.port) as peer:
                assert peer.is_established
                assert peer.send_c_store(good).Status == 0
            gc.collect()
    assert require_whole(database, blobs) >= count // _STEP
    until = time.monotonic() + 20
    while receiver.associations() and time.monotonic() < until:
        time.sleep(0.05)
    assert receiver.associations() == [], "no place is lost"
    require_little_memory(before)


def hostile_body(film: bytes, dice: random.Random) -> bytes:
    """Return a STOW body that is damaged in its parts, its borders or its films."""
    edge = b"\r\n--edge\r\nContent-Type: application/dicom\r\n\r\n"
    match dice.randrange(4):
        case 0:
            return damaged(edge + film + b"\r\n--edge--\r\n", dice)
        case 1:
            return edge + damaged(film, dice) + b"\r\n--edge--\r\n"
        case 2:
            return edge + zlib.compress(bytes(1 << 22)) + edge + damaged(film[:600], dice) + b"\r\n--edge--\r\n"
        case _:
            return damaged(edge, dice) * dice.randrange(1, 1200) + b"\r\n--edge--\r\n"


def attack_stow(folder: Path, make_film: FilmMaker, count: int) -> None:
    key = "a-key-of-the-tests-01"
    settings = Settings(
        data_dir=folder, max_body_mb=2, api_keys={"pacs": SecretStr(key)}, requests_per_second=1e5, requests_burst=1e5
    )
    with contextlib.closing(Service(settings)) as service:
        service.database.migrate()
        kind = 'multipart/related; type="application/dicom"; boundary=edge'
        client = TestClient(create_app(service), headers={"Authorization": f"Bearer {key}", "Content-Type": kind})
        dice, before = random.Random(count), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # noqa: S311
        for number in range(count):
            film = make_film(SOPInstanceUID=f"2.25.6{number}")
            answer = client.post("/dicom-web/studies", content=hostile_body(film, dice))
            assert answer.status_code in {200, 202, 400, 409, 413, 415, 422}, answer.status_code
            if number % _STEP == 0:
                good = b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + make_film(
                    SOPInstanceUID=f"2.25.5{number}"
                )
                assert client.post("/dicom-web/studies", content=good + b"\r\n--edge--\r\n").status_code == 200
        assert require_whole(service.database, service.blobs) >= count // _STEP
        require_little_memory(before)


def test_broken_associations_and_films_leave_nothing_half_stored(
    listen: Listen, make_film: FilmMaker, database: Database, blobs: BlobFolder
) -> None:
    attack_receiver(listen, make_film, database, blobs, 60)


def test_broken_bodies_leave_nothing_half_stored(tmp_path: Path, make_film: FilmMaker) -> None:
    attack_stow(tmp_path / "stow", make_film, 60)


@pytest.mark.soak
def test_thousands_of_broken_associations_leave_nothing_half_stored(
    listen: Listen, make_film: FilmMaker, database: Database, blobs: BlobFolder
) -> None:
    attack_receiver(listen, make_film, database, blobs, 10_000)


@pytest.mark.soak
def test_thousands_of_broken_bodies_leave_nothing_half_stored(tmp_path: Path, make_film: FilmMaker) -> None:
    attack_stow(tmp_path / "stow", make_film, 10_000)
