"""A person's word joins what the program left open; films that met no model are read again once there is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cds.api import create_app
from cds.assessing.identity import Person, join
from cds.cli.app import app
from cds.jobs.queue import job_state
from cds.jobs.retrying import _missed, retry_refused
from cds.service import Service
from cds.settings import Settings
from cds.store.films import store_imaging_result
from cds.store.tables import FilmRow, ImagingResultRow, JobRow
from vision import Analyzer, ImagingResult
from vision.result import Finding, ModelRef

NORTH = "urn:oid:2.999.1"
NOW = datetime.now(UTC)
WORD = {"system": NORTH, "value": "4711", "reason": "wristband and request form agree"}


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    site = tmp_path / "site"
    site.mkdir()
    (site / "identity.yaml").write_text(f"issuers: [{{id: north, system: '{NORTH}', dicom_issuer: NORTH}}]")
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CDS_CONFIG_DIR", str(site))
    made = Service(Settings(data_dir=tmp_path / "data", config_dir=site))
    made.database.migrate()
    return made


@pytest.fixture
def film_id(service: Service, make_film: Callable[..., bytes]) -> str:
    """A film of an issuer that nobody knows."""
    return service.film_arrivals.receive(make_film(IssuerOfPatientID="ELSEWHERE"), source="upload", at=NOW).film_id


def _is_joined(service: Service, film_id: str, birth_date: date) -> bool:
    person = Person({(NORTH, "4711")}, birth_date, "male")
    with service.database.reading() as session:
        return bool(join(person, [session.get_one(FilmRow, film_id)]).joined)


def test_a_confirmed_film_is_the_patients_whatever_it_said_of_itself(service: Service, film_id: str) -> None:
    client = TestClient(create_app(service))
    assert [item["id"] for item in client.get("/api/v1/unresolved").json()] == [film_id]
    assert not _is_joined(service, film_id, date(1980, 1, 1))
    said = client.post(f"/api/v1/studies/{film_id}/identity", json=WORD)
    assert said.status_code == 201, said.text
    assert said.json()["was"] == {
        "identifier_system": None, "identifier_value": "4711", "birth_date": "1950-01-02", "sex": "female",
    }  # fmt: skip
    assert _is_joined(service, film_id, date(1980, 1, 1))
    assert client.get("/api/v1/unresolved").json() == []
    assert client.get(f"/api/v1/studies/{film_id}/identity").json() == [said.json()]
    entries = [entry.what for entry in service.audit.entries()]
    assert "POST /api/v1/studies/{study_id}/identity" in entries


def test_a_word_without_reason_known_issuer_or_item_is_refused(service: Service, film_id: str) -> None:
    client = TestClient(create_app(service))
    address = f"/api/v1/studies/{film_id}/identity"
    assert client.post(address, json={**WORD, "reason": " "}).status_code == 422
    assert client.post(address, json={**WORD, "system": "urn:other"}).json()["code"] == "issuer_unknown"
    assert client.post("/api/v1/reports/none/identity", json=WORD).status_code == 404
    assert client.get("/api/v1/unresolved").json()[0]["id"] == film_id


def test_the_command_line_lists_and_confirms(service: Service, film_id: str) -> None:
    run = CliRunner()
    assert json.loads(run.invoke(app, ["identity", "list", "--json"]).stdout)["id"] == film_id
    command = ["identity", "confirm", "film", film_id, f"{NORTH}|4711", "--by", "Dr. Tester", "--reason", "wristband"]
    done = run.invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["decided_by"] == "Dr. Tester"
    assert (
        run.invoke(app, ["identity", "confirm", "film", film_id, "4711", "--by", "x", "--reason", "y"]).exit_code == 2
    )
    assert run.invoke(app, ["identity", "list", "--json"]).stdout == ""


def _stored(service: Service, film_id: str, result: ImagingResult) -> None:
    with service.database.writing() as session:
        store_imaging_result(session, film_id, result, at=NOW)
        session.query(JobRow).filter_by(subject_id=film_id).one().state = "done"


@pytest.mark.parametrize(
    ("reason", "model"),
    [
        ("it is not certain that this is a chest film: no weights", "gate"),
        ("the adult model is not in service: the weights are not those of the card", "vision-adult"),
    ],
)
def test_a_film_that_met_no_model_is_read_again_once_it_is_served(
    service: Service, film_id: str, reason: str, model: str
) -> None:
    _stored(service, film_id, ImagingResult(not_applicable={"*": reason}, analysed_at=NOW))
    with service.database.writing() as session:
        assert retry_refused(session, ["vision-paediatric"], at=NOW) == []
        assert retry_refused(session, [model], at=NOW) == [film_id]
        assert session.get_one(FilmRow, film_id).status == "received"
        assert session.get(ImagingResultRow, film_id) is None
        assert job_state(session, "analyse_film", film_id) == "queued"


def test_an_analyzer_without_models_says_so_in_the_words_that_are_looked_for(tmp_path: Path) -> None:
    place, why = Analyzer(models=tmp_path)._model_for("adult", "adult", 50)
    assert place is None
    assert list(_missed(ImagingResult(not_applicable={"*": why}, analysed_at=NOW))) == ["gate"]


def test_a_film_with_findings_is_left_alone(service: Service, film_id: str) -> None:
    finding = Finding(key="lung_mass", score=0.1, model=ModelRef(id="m", version="1", sha256="0" * 64))
    reason = "the adult model is not in service: x"
    _stored(service, film_id, ImagingResult(findings=(finding,), not_applicable={"a": reason}, analysed_at=NOW))
    with service.database.writing() as session:
        assert retry_refused(session, ["vision-adult"], at=NOW) == []
