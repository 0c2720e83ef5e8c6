"""What goes wrong around a service that signs, audits and encrypts: killed under load, and a disk that fills up.

Whatever was acknowledged is there afterwards, once, readable, and in a trail that is whole.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from sqlalchemy import select, text

from cds.service import Service
from cds.settings import Settings
from cds.store.tables import FeedbackRow, FilmRow, JobRow
from tests.cds.hooks.builders import risky_order_call
from tests.cds.hooks.ehr import BASE, Ehr
from tests.end_to_end.cds_processes import KEY, free_port, start_bare, wait_for
from tests.end_to_end.test_receiving import film

ADVISOR = "/cds-services/imaging-order-advisor"
FEEDBACK = f"{ADVISOR}/feedback"
FILMS = "/api/v1/studies"
TRAILED = {path: f"POST {path}".replace("imaging-order-advisor", "{service_id}") for path in (ADVISOR, FEEDBACK, FILMS)}


@dataclass
class Site:
    """A service in a process of its own, its worker left out, with tokens, audit and encryption; and its EHR."""

    folder: Path
    data: Path
    prefix: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.ehr = Ehr(self.folder / "keys.json")
        self.key = self.folder / "data.key"
        self.key.write_text(secrets.token_hex(32))
        self.key.chmod(0o600)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return {"data_dir": self.data, "encryption_key_file": self.key, "public_url": BASE}

    def start(self) -> None:
        keys, issuers = {"tests": KEY}, {self.ehr.issuer: str(self.ehr.keys_file)}
        told = {**self.settings, "api_keys": json.dumps(keys), "jwt_issuers": json.dumps(issuers)}
        self.process = start_bare(self.port, *self.prefix, **told)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def opened(self) -> contextlib.closing[Service]:
        """Return the data of the service, for looking at them once it is gone."""
        return contextlib.closing(Service(Settings(**self.settings)))

    def post(self, client: httpx.Client, path: str, number: int) -> tuple[httpx.Response, str]:
        """Send one hook, feedback or film; return the answer, and what names it in the store."""
        if path == FILMS:
            made = film(number)
            body = io.BytesIO()
            made.save_as(body, enforce_file_format=True)
            headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/dicom"}
            return client.post(path, content=body.getvalue(), headers=headers), made.SOPInstanceUID
        token = self.ehr.token(path)
        headers = {"Authorization": f"Bearer {token}"}
        if path == ADVISOR:
            return client.post(path, json=risky_order_call(), headers=headers), token
        card, at = str(uuid.uuid4()), datetime.now(UTC).isoformat()
        feedback = {"card": card, "outcome": "overridden", "outcomeTimestamp": at}
        return client.post(path, json={"feedback": [feedback]}, headers=headers), card


@contextlib.contextmanager
def killed_at_the_end(site: Site) -> Iterator[Site]:
    try:
        site.start()
        yield site
    finally:
        site.kill()


def load_until_killed(site: Site, acknowledged: dict[str, list[str]], when: Callable[[], bool], first: int) -> None:
    """Send hooks, feedback and films at once, kill the service when it is time, and note what was acknowledged."""
    gone = threading.Event()

    def send(path: str) -> None:
        with site.client() as client, contextlib.suppress(httpx.TransportError):
            for number in range(first, first + 10_000):
                if gone.is_set():
                    return
                answer, name = site.post(client, path, number)
                assert answer.is_success, answer.text
                acknowledged[path].append(name)

    with ThreadPoolExecutor(len(acknowledged)) as threads:
        sending = [threads.submit(send, path) for path in acknowledged]
        wait_for(lambda: when() or any(each.done() for each in sending), "the moment of the kill")
        site.kill()
        gone.set()
        for each in sending:
            each.result()


def killed_again_and_again(tmp_path: Path, kills: int, each: int) -> dict[str, list[str]]:
    """Return what a service acknowledged that was killed so often, once nothing of it is found missing."""
    site = Site(tmp_path, tmp_path / "data")
    acknowledged: dict[str, list[str]] = {path: [] for path in (ADVISOR, FEEDBACK, FILMS)}
    for kill in range(kills):
        with killed_at_the_end(site):
            if kill:
                replayed = httpx.post(
                    f"http://127.0.0.1:{site.port}{ADVISOR}",
                    json=risky_order_call(),
                    headers={"Authorization": f"Bearer {acknowledged[ADVISOR][-1]}"},
                )
                assert replayed.status_code == 401, "a token that was used is used up, kill or no kill"
            enough = {path: len(names) + each for path, names in acknowledged.items()}
            load_until_killed(
                site,
                acknowledged,
                lambda enough=enough: all(len(acknowledged[path]) >= count for path, count in enough.items()),  # type: ignore[misc]
                first=10_000 * kill,
            )
    assert_all_kept(site, acknowledged)
    return acknowledged


def assert_all_kept(site: Site, acknowledged: dict[str, list[str]]) -> None:
    with site.opened() as service, service.database.reading() as session:
        assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        cards = list(session.scalars(select(FeedbackRow.card_uuid)))
        films = {row.sop_instance_uid: row for row in session.scalars(select(FilmRow))}
        jobs = list(session.scalars(select(JobRow.subject_id).where(JobRow.kind == "analyse_film")))
        assert set(acknowledged[FEEDBACK]) <= set(cards)
        assert len(set(cards)) == len(cards)
        assert set(acknowledged[FILMS]) <= set(films)
        assert sorted(jobs) == sorted(row.id for row in films.values()), "one job for each film"
        for uid in acknowledged[FILMS]:
            kept = pydicom.dcmread(io.BytesIO(service.blobs.get(films[uid].sha256)))
            assert kept.PixelData == film(int(uid.removeprefix("2.25.9"))).PixelData

        trail = list(service.audit.entries())
        for path, names in acknowledged.items():
            answered = [entry for entry in trail if (entry.what, entry.outcome) == (TRAILED[path], "ok")]
            assert len(answered) >= len(names), path
        of_films = {entry.thing for entry in trail if entry.what == TRAILED[FILMS]}
        assert {f"film/{films[uid].id}" for uid in acknowledged[FILMS]} <= of_films
        assert service.audit.verify().problems == ()


def test_what_was_acknowledged_is_kept_though_the_service_is_killed_under_load(tmp_path: Path) -> None:
    acknowledged = killed_again_and_again(tmp_path, kills=1, each=15)
    assert all(len(names) >= 15 for names in acknowledged.values())


@pytest.mark.soak
def test_what_was_acknowledged_is_kept_however_often_the_service_is_killed_under_load(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, kills=25, each=100)


def on_a_small_disk(folder: Path) -> Site:
    """Return a site whose data lie on a file system of 6 MiB of their own, seen by its process alone."""
    data = folder / "disk"
    data.mkdir()
    mounting = f'mount -t tmpfs -o size=6m,mode=700 none "{data}" && exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounting, "sh")
    if (
        shutil.which("unshare") is None
        or subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("this system lets nobody mount a disk of their own")
    return Site(folder, data, prefix)


def test_a_full_disk_refuses_and_loses_nothing_and_a_disk_with_room_again_goes_on(tmp_path: Path) -> None:
    site = on_a_small_disk(tmp_path)
    acknowledged: dict[str, list[str]] = {path: [] for path in (ADVISOR, FEEDBACK, FILMS)}
    refused: dict[str, list[httpx.Response]] = {path: [] for path in acknowledged}
    with killed_at_the_end(site), site.client() as client:
        assert site.process is not None
        inside = Path(f"/proc/{site.process.pid}/root{site.data}")

        def send(path: str, number: int) -> bool:
            answer, name = site.post(client, path, number)
            (acknowledged if answer.is_success else refused)[path].append(name if answer.is_success else answer)  # type: ignore[arg-type]
            return answer.is_success

        assert [send(path, 1) for path in acknowledged] == [True] * 3
        filler = inside / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(64 * 1024))
        until = time.monotonic() + 60
        number = 2
        while not all(len(answers) >= 3 for answers in refused.values()) and time.monotonic() < until:
            for path in acknowledged:
                send(path, number)
            number += 1
        assert all(refused.values()), "each kind was refused at least once"
        assert {answer.status_code for answers in refused.values() for answer in answers} <= {503, 507}
        for answer in (each for answers in refused.values() for each in answers):
            of_hooks = answer.request.url.path.startswith("/cds-services")
            assert answer.headers["content-type"] == ("application/json" if of_hooks else "application/problem+json")
            assert ("retry-after" in answer.headers) == (answer.status_code == 503)
        assert client.get("/health/live").status_code == 200

        filler.unlink()
        assert [send(path, number) for path in acknowledged] == [True] * 3
        shutil.copytree(inside, tmp_path / "kept", symlinks=True)
    site.data = tmp_path / "kept"
    assert_all_kept(site, acknowledged)
