"""Time and memory of one film from bytes to stored result, beside decoding alone and the networks alone.

    python benchmarks/film_path.py [--films 20] [--threads 2] [--json]

The film is `RG1_J2KI.dcm` of the package pydicom-data (JPEG 2000). In one process and one run, in turn for each film:
the whole path (arrival synced to disk, queue, worker, result committed), the picture that the worker draws after that,
reading the same bytes as the worker does, and analysing what was read. The copies differ in SOPInstanceUID, so that
each is a film of its own. Memory is the peak of the process, and of one that has loaded the same models and done
nothing, by the kernel's count.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
from pydicom.data import get_testdata_file
from sqlalchemy import event
from sqlalchemy.orm import Session

from cds.jobs.worker import Worker
from cds.operating.logs import configure_logs
from cds.service import Service
from cds.settings import Settings
from cds.store.films import film_by_id
from vision import read_radiograph
from vision.read import ENOUGH

FILM = "RG1_J2KI.dcm"


def copies(count: int) -> Iterator[bytes]:
    """Yield the film with one SOPInstanceUID after another."""
    film = pydicom.dcmread(get_testdata_file(FILM))
    for number in range(count):
        film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
        file = io.BytesIO()
        film.save_as(file, enforce_file_format=True)
        yield file.getvalue()


def milliseconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def measure(films: int, threads: int) -> dict[str, Any]:
    """Return the figures; the first film warms up and is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Settings(data_dir=Path(folder) / "data", inference_threads=threads))
        service.database.migrate()
        worker, analyzer = service.worker(), service.models.analyzer
        loaded = peak_mebibytes()
        path, drawing, reading, networks = [], [], [], []
        for data in copies(films + 1):
            stored, drawn = _through(service, worker, data)
            path.append(stored)
            drawing.append(drawn)
            reading.append(milliseconds(lambda data=data: read_radiograph(data, least_side=ENOUGH)))  # type: ignore[misc]
            radiograph = read_radiograph(data, least_side=ENOUGH)
            networks.append(
                milliseconds(lambda film=radiograph: analyzer.analyze(film, at=datetime.now(UTC)))  # type: ignore[misc]
            )
        states = {row["id"]: row["state"] for row in analyzer.status()}
        peak = peak_mebibytes()
        service.database.close()
    alone = [one + other for one, other in zip(reading, networks, strict=True)][1:]
    ratios = [whole / part for whole, part in zip(path[1:], alone, strict=True)]
    return {
        "film": FILM,
        "films": films,
        "threads": threads,
        "models": states,
        "path_ms": _spread(path[1:]),
        "drawing_after_ms": _spread(drawing[1:]),
        "reading_ms": _spread(reading[1:]),
        "networks_ms": _spread(networks[1:]),
        "ratio_to_reading_and_networks": round(statistics.median(ratios), 3),
        "peak_mib": round(peak),
        "peak_mib_models_loaded": round(loaded),
    }


def _through(service: Service, worker: Worker, data: bytes) -> tuple[float, float]:
    """Return the milliseconds until the result is committed, and those the worker takes after that."""
    commits: list[float] = []

    def committed(_session: Session) -> None:
        commits.append(time.perf_counter())

    started = time.perf_counter()
    receipt = service.film_arrivals.receive(data, source="benchmark", at=datetime.now(UTC))
    event.listen(Session, "after_commit", committed)
    assert worker.run_one()
    ended = time.perf_counter()
    event.remove(Session, "after_commit", committed)
    with service.database.reading() as session:
        film = film_by_id(session, receipt.film_id)
    assert film is not None
    assert film.result is not None
    return 1000 * (commits[-1] - started), 1000 * (ended - commits[-1])


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 1),
        "least": round(min(values), 1),
        "most": round(max(values), 1),
    }


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def without_training_packages() -> int:
    """Run this script again as it would be in a serving environment, which has none of the training packages."""
    script = (
        "import runpy, sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'monai', 'transformers'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [sys.executable, "-c", script, str(Path(__file__)), *sys.argv[1:], "--here"]
    return subprocess.run(command, check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.here:
        sys.exit(without_training_packages())
    configure_logs("error")
    figures = measure(arguments.films, arguments.threads)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:32s} {value}")


if __name__ == "__main__":
    main()
