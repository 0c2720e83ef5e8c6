"""Time of `order-sign` over real HTTP on loopback, warm, with a 200-resource prefetch, beside `GET /cds-services`.

    python benchmarks/order_sign.py [--calls 400] [--films 0] [--json]

The server is one process of its own, as `cds serve` starts it, on a new data folder: SQLite on disk, the packaged rules
and models, one film's result and one report of the patient (and `--films` more of other patients). The same client, in
the same run, takes turns between the call and the baseline; the figures are of whole requests, seen from the client.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from cds.api import create_app
from cds.operating.logs import configure_logs
from cds.service import Service
from cds.settings import Settings
from cds.store.films import FilmHeader, add_film, store_imaging_result
from cds.store.reports import ReportHeader, add_report, store_report_result
from nlp import StructuredReport
from nlp.result import Mention
from vision import ImagingResult
from vision.result import Finding, ModelRef

SYSTEM = "urn:oid:2.25.153203873041862379241874"
PATH = "/cds-services/imaging-order-advisor"
TEXT = "IMPRESSION: There is a 9 mm nodule in the right upper lobe. Small left pleural effusion."
NOW = datetime.now(UTC)
VITALS = {"8867-4": (92, "/min"), "9279-1": (18, "/min"), "8480-6": (128, "mm[Hg]"), "59408-5": (96, "%")}
LABS = {"2160-0": (2.9, "mg/dL"), "3094-0": (31, "mg/dL"), "718-7": (12.1, "g/dL"), "6690-2": (9.2, "10*3/uL")}
CONDITIONS = ("44054006", "431857002", "49727002", "51615001")

Json = dict[str, Any]


def plant(service: Service, films: int) -> None:
    """Store the patient's film and report, and films of other patients."""
    model = ModelRef(id="adult", version="1", sha256="0" * 64)
    findings = tuple(Finding(key=k, score=0.4, label=False, model=model) for k in ("lung_opacity", "pleural_effusion"))
    result = ImagingResult(findings=findings, analysed_at=NOW)
    at = TEXT.index("nodule")
    mention = Mention(finding="lung_nodule", assertion="present", section="impression", start=at, end=at + 6)
    digest = service.blobs.put(TEXT.encode())
    with service.database.writing() as session:
        for number in range(films + 1):
            film, _ = add_film(session, film_header(number), uuid.uuid4().hex * 2, source="benchmark", at=NOW)
            store_imaging_result(session, film.id, result, at=NOW)
        report, _ = add_report(session, report_header(), digest, at=NOW)
        store_report_result(session, report.id, StructuredReport(findings=(mention,), extracted_at=NOW), at=NOW)


def film_header(number: int) -> FilmHeader:
    return FilmHeader(
        sop_instance_uid=f"2.25.{uuid.uuid4().int}",
        study_instance_uid=f"2.25.{number + 1}",
        series_instance_uid=f"2.25.{number + 1}",
        identifier_system=SYSTEM,
        identifier_value=f"MRN-{number}",
        accession_system=None,
        accession=f"A{number}",
        birth_date=date(1961, 4, 2),
        sex="female",
        taken_at=NOW - timedelta(hours=3),
    )


def report_header() -> ReportHeader:
    return ReportHeader(
        source="benchmark",
        source_id="1",
        identifier_system=SYSTEM,
        identifier_value="MRN-0",
        accession_system=None,
        accession="A0",
        study_instance_uid=None,
        birth_date=date(1961, 4, 2),
        sex="female",
        status="final",
        issued_at=NOW - timedelta(hours=1),
    )


def call(number: int = 0) -> Json:
    """Return an order-sign call with a CT with contrast and 200 resources of prefetch, the Patient among them.

    number  of the patient; the one with the report is 0
    """
    patient_id = f"p{number}"
    subject = {"reference": f"Patient/{patient_id}"}
    patient = {
        "resourceType": "Patient",
        "id": patient_id,
        "identifier": [{"system": SYSTEM, "value": f"MRN-{number}"}],
        "birthDate": "1961-04-02",
        "gender": "female",
    }
    draft = {
        "resourceType": "ServiceRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": "24628-0"}]},
        "subject": subject,
        "reasonCode": [{"text": "nodule on chest film"}],
    }
    conditions = [
        {
            "resourceType": "Condition",
            "id": f"c{n}",
            "clinicalStatus": {"coding": [{"code": "active"}]},
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": CONDITIONS[n % len(CONDITIONS)]}]},
            "subject": subject,
        }
        for n in range(20)
    ]
    medications = [
        {
            "resourceType": "MedicationRequest",
            "id": f"m{n}",
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": {"text": "metformin 500 mg tablet" if n == 0 else f"medication {n}"},
            "subject": subject,
        }
        for n in range(19)
    ]
    prefetch = {
        "patient": patient,
        "vitals": page([observation(n, VITALS, subject) for n in range(60)]),
        "laboratory": page([observation(n + 100, LABS, subject) for n in range(100)]),
        "conditions": page(conditions),
        "medications": page(medications),
        **{key: page([]) for key in ("allergies", "social", "orders", "studies", "reports", "procedures")},
        "encounter": None,
    }
    drafts = {"resourceType": "Bundle", "entry": [{"resource": draft}]}
    context = {"userId": "Practitioner/a", "patientId": patient_id, "encounterId": f"e{number}", "draftOrders": drafts}
    return {"hook": "order-sign", "hookInstance": str(uuid.uuid4()), "context": context, "prefetch": prefetch}


def page(resources: list[Json]) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in resources]}


def observation(number: int, kinds: dict[str, tuple[float, str]], subject: Json) -> Json:
    code, (value, unit) = list(kinds.items())[number % len(kinds)]
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "category": [{"coding": [{"code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": "a measurement"}]},
        "subject": subject,
        "effectiveDateTime": (NOW - timedelta(hours=number + 1)).isoformat(),
        "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
    }


def serve(folder: Path, port: int, films: int) -> None:
    configure_logs("error")
    service = Service(Settings(data_dir=folder, port=port))
    service.database.migrate()
    plant(service, films)
    uvicorn.run(create_app(service), port=port, log_config=None, access_log=False)


@contextmanager
def running(films: int) -> Iterator[httpx.Client]:
    """A client of a server process of its own."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--serve", folder, "--port", str(port), "--films", str(films)]
        process = subprocess.Popen(command)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                wait_for(client)
                yield client
        finally:
            process.terminate()
            process.wait()


def wait_for(client: httpx.Client) -> None:
    for _ in range(3000):
        try:
            if client.get("/health/live").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def timed(work: Callable[[], httpx.Response]) -> float:
    started = time.perf_counter()
    response = work()
    seconds = time.perf_counter() - started
    response.raise_for_status()
    return 1000 * seconds


def figures(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {"median_ms": round(statistics.median(ordered), 2), "p99_ms": round(ordered[int(0.99 * len(ordered))], 2)}


def measure(client: httpx.Client, calls: int) -> Json:
    body = json.dumps(call()).encode()
    headers = {"Content-Type": "application/json"}
    cards = client.post(PATH, content=body, headers=headers).json()["cards"]
    for _ in range(20):
        timed(lambda: client.post(PATH, content=body, headers=headers))
        timed(lambda: client.get("/cds-services"))
    pairs = [
        (timed(lambda: client.post(PATH, content=body, headers=headers)), timed(lambda: client.get("/cds-services")))
        for _ in range(calls)
    ]
    signed, baseline = figures([pair[0] for pair in pairs]), figures([pair[1] for pair in pairs])
    ratio = round(statistics.median(pair[0] / pair[1] for pair in pairs), 1)
    return {
        "calls": calls,
        "body_bytes": len(body),
        "cards": len(cards),
        "order_sign": signed,
        "get_cds_services": baseline,
        "median_ratio": ratio,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--films", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.port, options.films)
        return
    with running(options.films) as client:
        result = measure(client, options.calls)
    if options.json:
        print(json.dumps(result))
        return
    print(f"order-sign, 200 resources, {result['body_bytes']} bytes, {result['cards']} cards, {options.calls} calls")
    for name in ("order_sign", "get_cds_services"):
        print(f"  {name:18s} median {result[name]['median_ms']:7.2f} ms   p99 {result[name]['p99_ms']:7.2f} ms")
    print(f"  order-sign takes {result['median_ratio']} times the baseline (median of pairs)")


if __name__ == "__main__":
    main()
