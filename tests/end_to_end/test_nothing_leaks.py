"""Names, numbers, dates and tokens of a patient go through every path; none is in a log, metric, error or file name.

The service is the real one in processes of its own, encrypted, with every line of its log.
"""

from __future__ import annotations

import base64
import io
import json
import secrets
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from cds.demo.film import demo_film
from cds.demo.record import ISSUER, RECORD_NUMBER, patient_record, report_bundle
from cds.demo.state import DemoState
from tests.cds.hooks.ehr import Ehr
from tests.end_to_end.cds_processes import KEY, Served, served, wait_for

Json = dict[str, Any]
NAME, NUMBER, ACCESSION = "ZEBRAFINCH", "MRN7391846", "ACC8265017"
BIRTH, BIRTH_DICOM = "1934-11-22", "19341122"
FHIR_ID, TOKEN, COMMENT, WORDS = "pat-5516273", "tok-4417703aa9", "quokka said so", "ibexes in the left lung"
CIPHER = secrets.token_hex(32)
PLANTED = (NAME, NUMBER, ACCESSION, BIRTH, BIRTH_DICOM, FHIR_ID, TOKEN, COMMENT, WORDS, KEY, CIPHER)
PATH = "/cds-services/imaging-order-advisor"


def planted(document: Any) -> Any:
    """Return a document of the demo patient as one of the planted patient."""
    text = json.dumps(document).replace(RECORD_NUMBER, NUMBER)
    return json.loads(text)


class Bench:
    """A service and what it answered."""

    def __init__(self, service: Served, ehr: Ehr, folder: Path) -> None:
        self.service, self.ehr = service, ehr
        self.client = service.client()
        self.state = DemoState.of(folder / "demo")
        self.tokens: list[str] = []
        self.refused: list[httpx.Response] = []

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = self.client.request(method, path, **options)
        if response.status_code >= 400:
            self.refused.append(response)
        return response

    def hook(self, body: Any, path: str = PATH, **claims: Any) -> httpx.Response:
        token = self.ehr.token(path, **{"aud": f"{self.service.address}{path}", **claims})
        self.tokens.append(token)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self.send("POST", path, content=body if isinstance(body, str) else json.dumps(body), headers=headers)

    def film(self, **changes: Any) -> bytes:
        film = pydicom.dcmread(io.BytesIO(demo_film(self.state, patient_id=NUMBER, issuer=ISSUER)))
        values = {
            "PatientName": f"{NAME}^JANE",
            "PatientBirthDate": BIRTH_DICOM,
            "AccessionNumber": ACCESSION,
            **changes,
        }
        out = io.BytesIO()
        with pydicom.config.disable_value_validation():
            for name, value in values.items():
                setattr(film, name, value)
            film.save_as(out, enforce_file_format=True)
        return out.getvalue()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("leaks")
    ehr = Ehr(folder / "keys.json")
    issuers = json.dumps({ehr.issuer: str(ehr.keys_file)})
    settings = {"log_level": "debug", "encryption_key": CIPHER, "jwt_issuers": issuers}
    with served(folder, **settings) as service:
        made = Bench(service, ehr, folder)
        go_through_every_path(made)
        yield made
        made.client.close()


def go_through_every_path(bench: Bench) -> None:
    patient = {
        "resourceType": "Patient",
        "id": FHIR_ID,
        "name": [{"family": NAME}],
        "birthDate": BIRTH,
        "identifier": [{"system": "urn:oid:2.999.1", "value": NUMBER}],
    }
    dicom = {"Content-Type": "application/dicom"}
    film = bench.send("POST", "/api/v1/studies", content=bench.film(), headers=dicom).json()["study_id"]
    for bad in (
        NAME.encode() * 50,
        bench.film()[:900],
        bench.film(SOPInstanceUID=NAME),
        bench.film(StudyInstanceUID="", Modality=NAME),
        bench.film(PatientBirthDate=f"{NAME}", Rows=1),
    ):
        bench.send("POST", "/api/v1/studies", content=bad, headers=dicom)
    stow = f'multipart/related; type="application/dicom"; boundary={NAME}'
    bench.send("POST", "/dicom-web/studies", content=bench.film(), headers={"Content-Type": stow})
    report = planted(report_bundle(bench.state))
    bench.send("POST", "/api/v1/reports", json=report)
    for bad in (
        {NAME: NUMBER},
        {"resourceType": NAME},
        {"resourceType": "DiagnosticReport", "status": NAME, "identifier": [{"value": ACCESSION}]},
        {"resourceType": "DiagnosticReport", "status": "final", "issued": f"{BIRTH}T{NAME}", "presentedForm": [NAME]},
        {"resourceType": "Bundle", "entry": [{"resource": patient}, {"resource": patient}]},
        [NAME],
    ):
        bench.send("POST", "/api/v1/reports", json=bad)
        bench.send("POST", "/api/v1/risk", json={"bundle": bad, "patient_id": FHIR_ID, NAME: NUMBER})
        bench.send("POST", f"/api/v1/scores/{NAME}", json=bad)
    bench.send("POST", "/api/v1/scores/curb65", json={NAME: NUMBER, "age": NAME})
    bench.send("POST", "/api/v1/risk", json={"bundle": planted(patient_record(bench.state)), "patient_id": FHIR_ID})
    bench.send("POST", "/api/v1/reports:extract", json={"text": f"There are {WORDS}.", "id": NAME})
    bench.send("POST", "/api/v1/reports:extract", json={"text": {NAME: 1}, "context": {"age": NAME, NUMBER: 1}})
    bench.send("POST", f"/api/v1/studies/{film}/verdicts", json={"finding": NAME, "verdict": NUMBER})
    for path in (
        f"/{NAME}", f"/cases/{NUMBER}", f"/films/{NAME}", f"/api/v1/studies/{NUMBER}", f"/api/v1/reports/{NAME}",
        f"/api/v1/studies?before={NAME}&limit={NUMBER}", f"/fhir/Patient/{FHIR_ID}", f"/fhir/{NAME}?_id={NUMBER}",
        f"/fhir/Observation?patient=urn:oid:2.999.1|{NUMBER}", f"/api/v1/audit/events?patient=x|{NUMBER}&after={NAME}",
        f"/smart/launch?iss=https://{NAME}.example&launch={TOKEN}", f"/static/{NAME}", "/",
        f"/films/{film}", f"/api/v1/studies/{film}", f"/api/v1/studies/{film}/film.png?enhancement={NAME}",
    ):  # fmt: skip
        bench.send("GET", path)
        bench.send("DELETE", path)
    hooks(bench, patient)
    for header in (f"Bearer {TOKEN}", f"Basic {base64.b64encode(f'{NAME}:{TOKEN}'.encode()).decode()}", TOKEN):
        bench.send("GET", f"/api/v1/studies/{NUMBER}", headers={"Authorization": header, "X-Request-Id": NAME})
        bench.send("POST", PATH, json=patient, headers={"Authorization": header})
    wait_for(lambda: bench.client.get(f"/api/v1/studies/{film}").json()["result"], "the film's result")


def hooks(bench: Bench, patient: Json) -> None:
    def call(**changes: Any) -> Json:
        drafts = {"resourceType": "Bundle"}
        context = {"userId": f"Practitioner/{NAME}", "patientId": FHIR_ID, "draftOrders": drafts}
        authorization = {
            "access_token": TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.read",
            "subject": NAME,
        }
        return {
            "hook": "order-sign",
            "hookInstance": str(uuid.uuid4()),
            "fhirServer": f"https://{NAME}.example/fhir",
            "fhirAuthorization": authorization,
            "context": context,
            "prefetch": {"patient": patient},
            **changes,
        }

    bench.hook(call())
    for bad in (
        call(hook=NAME),
        call(hookInstance=NUMBER),
        call(context={NAME: NUMBER, "patientId": f"{NAME} {NUMBER}"}),
        call(prefetch={"patient": {**patient, "birthDate": NAME}}),
        call(prefetch={"patient": {**patient, "id": "other"}, NAME: {"resourceType": "Bundle", "entry": NAME}}),
        call(fhirServer=f"http://{NAME}@{NUMBER}"),
        call(fhirAuthorization={"access_token": {TOKEN: 1}, NAME: 2}),
        f'{{"{NAME}": {NUMBER}',
        "[" * 200 + NAME,
        [NAME],
    ):
        bench.hook(bad)
    bench.hook(call(), path=f"/cds-services/{NAME}")
    bench.hook(call(), sub=NAME, aud="https://elsewhere.example")
    bench.hook(call(), iss=f"https://{NAME}.example")
    outcome = {"card": str(uuid.uuid4()), "outcome": "overridden", "outcomeTimestamp": datetime.now(UTC).isoformat()}
    for reason in ({"userComment": COMMENT}, {"reason": {"code": [COMMENT]}}, {"userComment": COMMENT * 400}):
        bench.hook({"feedback": [{**outcome, "overrideReason": reason}]}, path=f"{PATH}/feedback")
    bench.hook({"feedback": [{**outcome, "outcome": COMMENT, "outcomeTimestamp": BIRTH}]}, path=f"{PATH}/feedback")


def found_in(text: str, bench: Bench) -> list[str]:
    secret = (*PLANTED, *bench.tokens, *(token.split(".")[2] for token in bench.tokens))
    return [word for word in secret if word.lower() in text.lower()]


def test_the_requests_were_of_every_kind(bench: Bench) -> None:
    statuses = {response.status_code for response in bench.refused}
    assert {400, 401, 404, 405, 412, 422} <= statuses
    assert not [response.url.path for response in bench.refused if response.status_code >= 500]
    assert bench.service.log().count("\n") > 20


def test_nothing_is_in_the_log(bench: Bench) -> None:
    assert found_in(bench.service.log(), bench) == []
    for line in bench.service.log().splitlines():
        json.loads(line)


def test_nothing_is_in_an_error_or_its_headers(bench: Bench) -> None:
    leaks = {
        (response.request.method, response.request.url.path, word)
        for response in bench.refused
        for word in found_in(f"{response.text} {response.headers}", bench)
    }
    assert leaks == set()


def test_nothing_is_in_the_metrics_or_the_health(bench: Bench) -> None:
    for path in ("/metrics", "/health/ready", "/health/live"):
        assert found_in(bench.client.get(path).text, bench) == []


def test_nothing_is_in_a_file_name_or_readable_on_the_disk(bench: Bench) -> None:
    files = [path for path in (bench.service.folder / "data").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path.name for path in files if found_in(path.name, bench)] == []
    assert [path.name for path in files if found_in(path.read_bytes().decode("latin-1"), bench)] == []
