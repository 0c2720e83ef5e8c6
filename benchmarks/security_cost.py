"""What the audit trail and encryption cost: time and processor time of each operation, with and without.

    python benchmarks/security_cost.py [--entries 400] [--json]

Each figure is the median of single operations in one process on a new data folder; `cpu` is processor time of this
process. Entries of the audit trail are on disk when the time ends; with 8 threads, entries that wait together share
one commit.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import event

from cds.audit import Access
from cds.service import Service
from cds.settings import Settings

ACCESS = Access("ward", "execute", "POST /cds-services/{service_id}", user="Practitioner/a", patient="urn:x|4711")
FILM = secrets.token_bytes(8 * 1024 * 1024)


def medians(work: Callable[[], Any], times: int) -> dict[str, float]:
    wall, cpu = [], []
    for _ in range(times):
        began, spent = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - spent)
    return {"median_ms": round(1000 * statistics.median(wall), 3), "cpu_ms": round(1000 * statistics.median(cpu), 3)}


def together(service: Service, entries: int) -> dict[str, float]:
    commits: list[Any] = []
    event.listen(service.audit.database.engine, "commit", commits.append)
    began, spent = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: service.audit.record(ACCESS), range(entries)))
    wall, cpu = time.perf_counter() - began, time.process_time() - spent
    return {
        "per_second": round(entries / wall),
        "cpu_ms": round(1000 * cpu / entries, 3),
        "entries_per_commit": round(entries / len(commits), 1),
    }


def of_folder(folder: Path, entries: int, key: str | None) -> dict[str, Any]:
    service = Service(Settings(data_dir=folder, **({"encryption_key": key} if key else {})))
    service.database.migrate()
    service.audit.record(ACCESS)
    digests = iter(range(entries))

    def put() -> None:
        service.blobs.put(next(digests).to_bytes(8, "big") + FILM)

    def read_database() -> None:
        with service.database.reading() as session:
            session.connection().exec_driver_sql("SELECT count(*) FROM film").scalar_one()

    digest = service.blobs.put(FILM)
    figures = {
        "audit entry, alone": medians(lambda: service.audit.record(ACCESS), entries),
        "audit entries, 8 threads": together(service, entries),
        "a read of the database": medians(read_database, entries),
        "a film of 8 MiB kept": medians(put, 10),
        "a film of 8 MiB read": medians(lambda: service.blobs.get(digest), 10),
        "the trail verified, per entry": {
            name: round(value / (2 * entries + 1), 4) for name, value in medians(service.audit.verify, 1).items()
        },
    }
    service.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {}
    for name, key in (("plain", None), ("encrypted", secrets.token_hex(32))):
        with tempfile.TemporaryDirectory() as folder:
            found[name] = of_folder(Path(folder) / "data", options.entries, key)
    if options.json:
        print(json.dumps(found))
        return
    for row in found["plain"]:
        for name in found:
            print(f"{row:32s} {name:10s} {found[name][row]}")


if __name__ == "__main__":
    main()
