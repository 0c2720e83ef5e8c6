"""Films a second by C-STORE on loopback: this service's receiver beside Orthanc, given the same films by DCMTK.

    python benchmarks/dicom_receive.py [--films 1000] [--associations 1] [--side 512] [--json]

Both run as processes of their own with empty stores on the same disk and their default settings (each syncs a film
before it is acknowledged). The films are made here: CR, 12 bits in 16, uncompressed, each with a UID of its own.
`storescu` sends all of them over the given number of associations; the time is that of the slowest. Then the stores are
counted. Needs `storescu` (Debian: dcmtk) and `Orthanc` (Debian: orthanc).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

_START_SECONDS = 300.0


def write_films(folder: Path, count: int, side: int, parts: int) -> list[Path]:
    """Write films into one folder for each association and return the folders."""
    noise = np.random.default_rng(7).integers(0, 4096, (side, side), np.uint16)
    folders = [folder / f"part{number}" for number in range(parts)]
    for part in folders:
        part.mkdir()
    for number in range(count):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        film = Dataset()
        film.file_meta = meta
        film.SOPClassUID, film.SOPInstanceUID = ComputedRadiographyImageStorage, f"2.25.1000{number}"
        film.StudyInstanceUID, film.SeriesInstanceUID = f"2.25.2000{number // 2}", f"2.25.3000{number // 2}"
        film.PatientID, film.Modality, film.Rows, film.Columns = f"B{number // 2}", "CR", side, side
        film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
        film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
        film.PixelData = np.roll(noise, number, 1).tobytes()
        film.save_as(folders[number % parts] / f"{number}.dcm", enforce_file_format=True)
    return folders


def send(port: int, called: str, folders: list[Path]) -> float:
    """Send every folder over an association of its own, all at once; returns seconds."""
    command = ["storescu", "-xs", "-aec", called, "+sd", "127.0.0.1", str(port)]
    started = time.perf_counter()
    senders = [subprocess.Popen([*command, str(part)], stdout=subprocess.DEVNULL) for part in folders]
    codes = [sender.wait() for sender in senders]
    seconds = time.perf_counter() - started
    if any(codes):
        raise SystemExit(f"storescu ended with {codes}")
    return seconds


@contextlib.contextmanager
def process(command: list[str], is_up: Callable[[], bool], **settings: str) -> Iterator[None]:
    running = subprocess.Popen(
        command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + _START_SECONDS
    try:
        while not is_up():
            if time.monotonic() > until or running.poll() is not None:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.1)
        yield
    finally:
        running.terminate()
        running.wait()


def ours(folder: Path, parts: list[Path]) -> tuple[float, int]:
    """Return seconds and how many films are stored with a job each."""
    from cds.service import Service
    from cds.settings import Settings
    from cds.store.tables import FilmRow, JobRow

    port = free_port()
    with contextlib.closing(Service(Settings(data_dir=folder / "ours"))) as service:
        service.database.migrate()
    settings = {"CDS_DATA_DIR": str(folder / "ours"), "CDS_DICOM_PORT": str(port), "CDS_LOG_LEVEL": "error"}
    with process([sys.executable, "-m", "cds", "receiver"], lambda: listens(port), **settings):
        seconds = send(port, "ROENTGEN", parts)
    with (
        contextlib.closing(Service(Settings(data_dir=folder / "ours"))) as service,
        service.database.reading() as session,
    ):
        return seconds, min(session.query(FilmRow).count(), session.query(JobRow).count())


def orthancs(folder: Path, parts: list[Path]) -> tuple[float, int]:
    """Return seconds and how many films Orthanc counts."""
    http, dicom = free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "HttpPort": http,
        "DicomPort": dicom,
        "AuthenticationEnabled": False,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with process(["Orthanc", str(folder / "orthanc.json")], lambda: listens(dicom) and listens(http)):
        seconds = send(dicom, "ORTHANC", parts)
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/statistics") as answer:
            return seconds, json.load(answer)["CountInstances"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def measure(films: int, associations: int, side: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parts = write_films(folder, films, side, associations)
        mine, stored = ours(folder, parts)
        theirs, counted = orthancs(folder, parts)
    return {
        "films": films,
        "associations": associations,
        "megabytes_each": round(side * side * 2 / 1e6, 2),
        "ours_films_a_second": round(films / mine, 1),
        "orthanc_films_a_second": round(films / theirs, 1),
        "ratio": round(theirs / mine, 2),
        "stored": stored,
        "orthanc_stored": counted,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--associations", type=int, default=1)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    for program in ("storescu", "Orthanc"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is not installed")
    figures = measure(given.films, given.associations, given.side)
    if given.json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:24s} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
