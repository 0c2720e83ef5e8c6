"""Films by C-STORE into real processes: killed in the middle of a series, every film that was acknowledged is there."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom import AE

from cds.service import Service
from cds.settings import Settings
from cds.store.tables import FilmRow, JobRow
from tests.end_to_end.cds_processes import environment, free_port, wait_for

DX = DigitalXRayImageStorageForPresentation


@contextlib.contextmanager
def receiving(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A `cds receiver` of its own, without worker and API."""
    settings = environment(data_dir=folder / "data", dicom_port=port, log_level="error")
    process = subprocess.Popen([sys.executable, "-m", "cds", "receiver"], env=settings, cwd=folder)
    try:
        wait_for(lambda: can_echo(port), "the receiver")
        yield process
    finally:
        process.kill()
        process.wait()


def can_echo(port: int) -> bool:
    entity = AE("TESTS")
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", port, ae_title="ROENTGEN")
    if association.is_established:
        association.release()
    return bool(association.is_released)


def film(number: int) -> Dataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = Dataset()
    made.file_meta = meta
    made.SOPClassUID, made.SOPInstanceUID = DX, f"2.25.9{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = "2.25.8", "2.25.7"
    made.PatientID, made.Modality = "E2E-K", "DX"
    made.Rows = made.Columns = 256
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.PixelData = np.full(256 * 256, number % 4096, np.uint16).tobytes()
    return made


def send_until_gone(port: int, acknowledged: set[str], *, first: int, stop: int = 10_000) -> None:
    """Send films until the other end is gone, noting each that was acknowledged."""
    entity = AE("TESTS")
    entity.add_requested_context(DX, ExplicitVRLittleEndian)
    entity.dimse_timeout = entity.network_timeout = 30
    association = entity.associate("127.0.0.1", port, ae_title="ROENTGEN")
    assert association.is_established
    for number in range(first, stop):
        if not association.is_established:
            return
        one = film(number)
        try:
            answer = association.send_c_store(one)
        except RuntimeError:  # gone since it was looked at
            return
        if "Status" in answer and answer.Status == 0:
            acknowledged.add(one.SOPInstanceUID)
    association.release()


@pytest.mark.parametrize("after", [5, 23])
def test_a_kill_in_the_middle_of_a_series_loses_no_acknowledged_film(tmp_path: Path, after: int) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    with contextlib.closing(Service(Settings(data_dir=tmp_path / "data"))) as service:
        service.database.migrate()
    port, acknowledged = free_port(), set[str]()
    with receiving(tmp_path, port) as process:
        sending = threading.Thread(target=send_until_gone, args=(port, acknowledged), kwargs={"first": 0})
        sending.start()
        until = time.monotonic() + 120
        while len(acknowledged) < after and time.monotonic() < until:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        sending.join(60)
    assert len(acknowledged) >= after
    with receiving(tmp_path, port):
        send_until_gone(port, acknowledged, first=0, stop=after)
    with contextlib.closing(Service(Settings(data_dir=tmp_path / "data"))) as service:
        with service.database.reading() as session:
            rows = {row.sop_instance_uid: row for row in session.query(FilmRow)}
            jobs = [job.subject_id for job in session.query(JobRow).filter_by(kind="analyse_film")]
        assert acknowledged <= set(rows)
        assert sorted(jobs) == sorted(row.id for row in rows.values()), "one job for each film"
        for uid in acknowledged:
            kept = pydicom.dcmread(io.BytesIO(service.blobs.get(rows[uid].sha256)))
            assert kept.PixelData == film(int(uid.removeprefix("2.25.9"))).PixelData


def test_a_peer_that_goes_away_in_the_middle_of_a_film_leaves_no_half_film(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    with contextlib.closing(Service(Settings(data_dir=tmp_path / "data"))) as service:
        service.database.migrate()
    port, acknowledged = free_port(), set[str]()
    with receiving(tmp_path, port):
        send_until_gone(port, acknowledged, first=0, stop=2)
        entity = AE("TESTS")
        entity.add_requested_context(DX, ExplicitVRLittleEndian)
        association = entity.associate("127.0.0.1", port, ae_title="ROENTGEN")
        send = association.dul.socket.socket
        cut = b"\x04\x00\x00\x00\x40\x00" + b"\x00\x00\x3f\xfc\x01\x00" + bytes(500)
        send.sendall(cut)
        send.close()
        association.kill()
        send_until_gone(port, acknowledged, first=2, stop=4)
    with contextlib.closing(Service(Settings(data_dir=tmp_path / "data"))) as service, service.database.reading() as s:
        assert {row.sop_instance_uid for row in s.query(FilmRow)} == acknowledged
    assert len(acknowledged) == 4
