"""order-sign under load: a full store, JWT, audit and encryption on, films arriving meanwhile; beside `healthchain`.

    python benchmarks/order_load.py [--rate 50] [--seconds 60] [--patients 100000] [--films 20000]
        [--healthchain PYTHON] [--json]

The server is `cds serve` with its processes, on an encrypted data folder that holds `--patients` cases and `--films`
films with results; its worker takes the films that arrive, one a second. The calls of order_sign.py (200 resources of
prefetch, ES384 tokens, each good once), for 200 patients with films in turn, leave this process on a fixed schedule,
whether or not those before them are answered, and the time of a call counts from its place in the schedule: a stall is
not hidden. With `--healthchain`, the python of an environment that has healthchain, its trivial card is called in the
same run, 8 calls in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pydicom
import scheduled
from joserfc import jws
from joserfc.jwk import ECKey
from order_sign import NOW, PATH, SYSTEM, call, figures, plant
from pydicom.data import get_testdata_file
from sqlalchemy import insert, update

from cds.service import Service
from cds.settings import load_settings
from cds.store.exchange_tables import PatientAliasRow, PatientRow
from cds.store.tables import AssessmentRow, JobRow
from fusion import Assessment

ISSUER = "https://ehr.benchmark"
KEY = secrets.token_urlsafe(24)
BATCH = 5000
CALLED = 200
CONNECTIONS = 16

Json = dict[str, Any]


def environment(folder: Path, port: int, key: ECKey) -> dict[str, str]:
    """Return the settings of the server: encrypted, audited, and open only to signed calls."""
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"keys": [{**key.as_dict(private=False), "use": "sig"}]}))
    data_key = folder / "data.key"
    data_key.write_text(secrets.token_hex(32))
    data_key.chmod(0o600)
    return {
        "CDS_DATA_DIR": str(folder / "data"),
        "CDS_PORT": str(port),
        "CDS_API_KEYS": json.dumps({"modality": KEY}),
        "CDS_JWT_ISSUERS": json.dumps({ISSUER: str(keys)}),
        "CDS_ENCRYPTION_KEY_FILE": str(data_key),
        "CDS_INFERENCE_THREADS": "1",
        "CDS_LOG_LEVEL": "error",
    }


def fill(patients: int, films: int) -> None:
    """Store the patient of the calls, films with results, and cases of other patients."""
    service = Service(load_settings())
    service.database.migrate()
    plant(service, films)
    with service.database.writing() as session:
        session.execute(update(JobRow).values(state="done", finished_at=NOW))
    empty = Assessment(at=NOW).model_dump(mode="json")
    for start in range(0, patients, BATCH):
        subjects = [f"{SYSTEM}|OTHER-{number}" for number in range(start, min(start + BATCH, patients))]
        with service.database.writing() as session:
            person = {"birth_date": date(1961, 4, 2), "sex": "female", "seen_at": NOW}
            session.execute(insert(PatientRow), [{"subject": s, **person} for s in subjects])
            session.execute(insert(PatientAliasRow), [{"alias": s, "subject": s} for s in subjects])
            case = {"assessment": empty, "assessed_at": NOW}
            session.execute(
                insert(AssessmentRow), [{"subject": s, "case_id": str(uuid.uuid4()), **case} for s in subjects]
            )
    service.database.close()


def signed(key: ECKey, base: str) -> dict[str, str]:
    """Return the headers of one call."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": f"{base}{PATH}", "iat": now, "exp": now + 1800, "jti": str(uuid.uuid4())}
    token = jws.serialize_compact({"alg": "ES384", "typ": "JWT", "kid": key.kid}, json.dumps(claims), key, ["ES384"])
    return {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}


async def load(port: int, key: ECKey, *, rate: float, seconds: float) -> Json:
    """Return the times of calls that leave on schedule, with a film a second beside them; all is made beforehand."""
    base = f"http://127.0.0.1:{port}"
    bodies = [json.dumps(call(number)).encode() for number in range(CALLED)]
    calls = [
        scheduled.request(PATH, bodies[number % CALLED], signed(key, base))
        for number in range(CALLED + int(rate * seconds))
    ]
    films = list(arrivals(int(seconds)))
    client, archive = scheduled.Client(port), scheduled.Client(port)
    await client.open(CONNECTIONS)
    for message in calls[:CALLED]:
        if await client.send(message) != 200:
            raise SystemExit("the server refused a call")
    begun = time.perf_counter()
    answers, sent = await asyncio.gather(
        client.on_schedule(calls[CALLED:], begun=begun, rate=rate), archive.on_schedule(films, begun=begun, rate=1)
    )
    errors = Counter(answer.status for answer in answers if answer.status != 200)
    times = figures([answer.milliseconds for answer in answers if answer.status == 200])
    arrived = sum(answer.status == 202 for answer in sent)
    return {"calls": len(answers), "errors": dict(errors), "films": arrived, **times}


def arrivals(count: int) -> Iterator[bytes]:
    """Return requests that bring a film each."""
    film = pydicom.dcmread(get_testdata_file("RG1_UNCR.dcm"))
    headers = {"Content-Type": "application/dicom", "Authorization": f"Bearer {KEY}"}
    for _ in range(count):
        film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = f"2.25.{uuid.uuid4().int}"
        file = io.BytesIO()
        film.save_as(file)
        yield scheduled.request("/api/v1/studies", file.getvalue(), headers)


async def trivial(base: str, *, seconds: float, in_flight: int = 8) -> Json:
    """Return how many calls of a trivial card healthchain answers in a second."""
    request = {
        "hook": "patient-view",
        "hookInstance": str(uuid.uuid4()),
        "context": {"userId": "Practitioner/a", "patientId": "p1"},
    }
    answered = 0
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        until = time.perf_counter() + seconds

        async def caller() -> None:
            nonlocal answered
            while time.perf_counter() < until:
                (await client.post("/cds/cds-services/greeter", json=request)).raise_for_status()
                answered += 1

        await asyncio.gather(*(caller() for _ in range(in_flight)))
    return {"in_flight": in_flight, "per_second": round(answered / seconds)}


@contextmanager
def running(command: list[str], base: str, path: str, env: dict[str, str]) -> Iterator[None]:
    """A server process of its own, until it answers and no longer than the block."""
    with subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(base + path)
            yield
        finally:
            process.terminate()


def wait_for(address: str) -> None:
    for _ in range(3000):
        try:
            if httpx.get(address).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def measured(options: argparse.Namespace) -> Json:
    key = ECKey.generate_key("P-384", {"kid": "benchmark"})
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as name:
        env = environment(Path(name), port, key)
        shape = ["--patients", str(options.patients), "--films", str(options.films)]
        subprocess.run([sys.executable, __file__, "--fill", *shape], env={**os.environ, **env}, check=True)
        with running([sys.executable, "-m", "cds", "serve"], base, "/health/ready", env):
            result = asyncio.run(load(port, key, rate=options.rate, seconds=options.seconds))
    result |= {"rate": options.rate, "patients": options.patients, "stored_films": options.films}
    if options.healthchain:
        other = f"http://127.0.0.1:{(port := free_port())}"
        server = str(Path(__file__).with_name("healthchain_server.py"))
        with running([options.healthchain, server, str(port)], other, "/health", {}):
            result["healthchain"] = asyncio.run(trivial(other, seconds=10))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--patients", type=int, default=100_000)
    parser.add_argument("--films", type=int, default=20_000)
    parser.add_argument("--healthchain", help="python of an environment with healthchain")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        fill(options.patients, options.films)
        return
    result = measured(options)
    if options.json:
        print(json.dumps(result))
        return
    print(f"order-sign at {result['rate']:.0f} a second, {result['calls']} calls, {result['films']} films arrived")
    times = f"median {result['median_ms']:.1f} ms   p99 {result['p99_ms']:.1f} ms"
    print(f"  {times}   errors {result['errors'] or 'none'}")
    if "healthchain" in result:
        print(f"  healthchain, a trivial card, 8 in flight: {result['healthchain']['per_second']} a second")


if __name__ == "__main__":
    main()
