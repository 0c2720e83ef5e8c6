"""The demo's parts: an honest copy of the film, a record that is valid and holds together, and an EHR that behaves."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from fhir.resources.R4B.bundle import Bundle
from joserfc import jwt
from joserfc.jwk import KeySet
from pydicom.data import get_testdata_file
from rich.console import Console

from cds.demo import run_demo
from cds.demo.ehr import ISSUER as EHR
from cds.demo.ehr import Reply, SigningKey, answer
from cds.demo.film import SOURCE, demo_film
from cds.demo.journey import Shown
from cds.demo.record import (
    ISSUER,
    PATIENT_ID,
    RECORD_NUMBER,
    drafted_orders,
    namesake_record,
    patient_record,
    report_bundle,
    report_text,
)
from cds.demo.screen import DemoScreen
from cds.demo.state import DemoState
from cds.errors import DemoError
from cds.site.configuration import Configs
from fusion import read_patient, resources_of
from fusion.scores.assessing import score_patient
from nlp import Extractor, Vocabulary

Json = dict[str, Any]


@pytest.fixture
def state(tmp_path: Path) -> DemoState:
    return DemoState.of(tmp_path / "demo")


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor(Vocabulary.from_documents(Configs().documents("lexicon")))


def film_of(state: DemoState) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(demo_film(state, patient_id=RECORD_NUMBER, issuer=ISSUER)))


def test_the_film_copy_keeps_the_pixels_and_drops_who_the_source_was(state: DemoState) -> None:
    source, copy = pydicom.dcmread(get_testdata_file(SOURCE, download=False)), film_of(state)
    assert copy.PixelData == source.PixelData
    assert copy.file_meta.TransferSyntaxUID == source.file_meta.TransferSyntaxUID
    for of_the_source in (source.PatientID, source.OtherPatientIDs, str(source.PatientName), source.StudyInstanceUID):
        assert of_the_source not in str(copy)


def test_the_film_copy_matches_the_record_it_is_joined_with(state: DemoState) -> None:
    copy = film_of(state)
    patient = resources_of(patient_record(state))[0]
    assert copy.PatientID == patient["identifier"][0]["value"]
    assert (
        f"{copy.PatientBirthDate[:4]}-{copy.PatientBirthDate[4:6]}-{copy.PatientBirthDate[6:]}" == patient["birthDate"]
    )
    assert {"F": "female", "M": "male"}[copy.PatientSex] == patient["gender"]
    assert copy.StudyInstanceUID in str(report_bundle(state))
    assert copy.AccessionNumber in str(report_bundle(state))


def test_one_data_folder_gives_one_film_and_another_gives_another(state: DemoState, tmp_path: Path) -> None:
    again, other = DemoState.of(state.folder), DemoState.of(tmp_path / "other")
    assert demo_film(again, patient_id="1", issuer="I") == demo_film(state, patient_id="1", issuer="I")
    assert film_of(other).SOPInstanceUID != film_of(state).SOPInstanceUID


@pytest.mark.parametrize("document", [patient_record, namesake_record, drafted_orders, report_bundle])
def test_every_document_is_valid_r4_and_has_no_placeholder_left(
    state: DemoState, document: Callable[[DemoState], Json]
) -> None:
    bundle = document(state)
    Bundle.model_validate(bundle)
    assert "{{" not in str(bundle)
    assert "{{" not in report_text(state)


def test_the_record_is_read_whole_and_lies_before_the_first_start(state: DemoState) -> None:
    patient = read_patient(resources_of(patient_record(state)), patient_id=PATIENT_ID, at=state.started_at)
    assert patient.dropped == ()
    assert patient.age_at(state.started_at) == state.age
    assert patient.medication("metformin", on=state.started_at.date()) is not None
    assert patient.smoking.pack_years == 35
    fresh = patient.latest("spo2_percent", at=state.started_at, within=timedelta(hours=1))
    assert fresh is not None


def test_the_kidney_function_is_where_contrast_needs_a_thought(state: DemoState) -> None:
    patient = read_patient(resources_of(patient_record(state)), patient_id=PATIENT_ID, at=state.started_at)
    filtration = score_patient("ckd_epi_2021", patient, None, None, state.started_at)
    assert 30 <= filtration.value < 45
    assert "98979-8" not in str(patient_record(state)), "the service computes it from creatinine"


def test_the_report_says_what_the_demo_is_about(state: DemoState, extractor: Extractor) -> None:
    report = extractor.extract(report_text(state), None, at=state.started_at)
    assert report.refusal is None
    assert report.labels["lung_mass"] == 1
    assert report.labels["pneumothorax"] == 0
    assert report.labels["breast_abnormality"] == 0
    assert [(r.modality, r.body_part, r.interval_days_max) for r in report.recommendations] == [("CT", "chest", 14)]
    assert report.communication.documented
    assert report.inconsistencies == ()


def test_the_namesake_shares_the_name_and_the_accession_number_alone(state: DemoState) -> None:
    own, other = (resources_of(f(state))[0] for f in (patient_record, namesake_record))
    assert own["name"] == other["name"]
    assert own["identifier"][0]["value"] != other["identifier"][0]["value"]
    assert own["birthDate"] != other["birthDate"]
    assert state.accession in str(namesake_record(state))


def test_a_folder_with_something_else_in_it_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "roentgen.sqlite3").write_bytes(b"a site's database")
    with pytest.raises(DemoError, match="not a demo's data folder"):
        DemoState.of(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["roentgen.sqlite3"]


def test_a_damaged_state_is_said_and_not_overwritten(state: DemoState) -> None:
    (state.folder / "demo.json").write_text("{")
    with pytest.raises(DemoError, match="damaged"):
        DemoState.of(state.folder)


def test_a_taken_port_is_one_clear_line_and_nothing_is_made(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DemoError, match=f"port {port} on 127.0.0.1: .*--port"):
            run_demo(tmp_path / "demo", port=port, once=True)
    assert not (tmp_path / "demo").exists()


def test_prefetch_is_answered_as_a_fhir_server_would(state: DemoState) -> None:
    resources = resources_of(patient_record(state))
    assert answer("Patient/{{context.patientId}}", resources) == resources[0]
    vitals = answer("Observation?patient={{context.patientId}}&category=vital-signs&_count=5", resources)
    codes = {entry["resource"]["code"]["coding"][0]["code"] for entry in vitals["entry"]}
    assert "59408-5" in codes
    assert "2160-0" not in codes
    creatinine = answer("Observation?patient={{context.patientId}}&code=http://loinc.org|2160-0", resources)
    assert creatinine["total"] == 2
    assert answer("ServiceRequest?patient={{context.patientId}}&status=active", resources)["entry"] == []
    assert answer("RelatedPerson/{{context.relatedPersonId}}", resources) is None
    Bundle.model_validate(vitals)


def test_the_demos_ehr_signs_for_one_address_with_a_key_that_is_not_written_down() -> None:
    key = SigningKey()
    public = key.public_set()
    assert "d" not in public["keys"][0]
    token = jwt.decode(key.token("http://127.0.0.1:1/x"), KeySet.import_key_set(public), algorithms=["ES384"])
    assert token.claims["iss"] == EHR
    assert token.claims["aud"] == "http://127.0.0.1:1/x"
    assert token.claims["exp"] - token.claims["iat"] <= 300


def printed(act: Callable[[DemoScreen], None]) -> str:
    out = io.StringIO()
    act(DemoScreen(Console(file=out, highlight=False, force_terminal=False)))
    return out.getvalue()


def shown(**changes: Any) -> Shown:
    film = {
        "rejection": None,
        "findings": [
            {"key": "lung_mass", "score": 0.912, "probability": None, "label": True},
            {"key": "tuberculosis", "score": 0.2, "probability": None, "label": None},
        ],
        "regions": [{"finding": "lung_mass", "side": "right", "zone": "upper"}],
        "view": "PA",
        "population": "adult",
        "population_source": "header",
        "not_applicable": {},
        "models": [{"id": "adult", "version": "1", "sha256": "abcdef0123456789"}],
    }
    report = {
        "refusal": None,
        "findings": [],
        "recommendations": [],
        "communication": {"documented": False},
    }
    card = {
        "summary": "Lung mass: CT chest",
        "indicator": "warning",
        "source": {"label": "NICE NG12"},
        "detail": "**Due** by 2026-03-16",
        "suggestions": [
            {"label": "Order CT", "actions": [{"resource": {"resourceType": "ServiceRequest", "status": "draft"}}]}
        ],
    }
    everything: Json = {
        "film": {"result": film},
        "film_new": True,
        "film_seconds": 1.2,
        "report": {"status": "final", "result": report},
        "report_new": True,
        "assessment": {"scores": [], "risks": [], "modalities": [], "dropped": []},
        "replies": (Reply("order-sign", "advisor", 0.05, {"cards": [card]}),),
        "namesake": {"modalities": [{"name": "imaging", "status": "identity_unresolved", "detail": "by hand"}]},
        "namesake_replies": (),
        "case_url": None,
    }
    return Shown(**{**everything, **changes})


def test_the_screen_shows_cards_with_their_orders_as_plain_text_in_a_file(state: DemoState) -> None:
    text = printed(lambda screen: screen.show(shown(), state, repeated=False))
    assert "\x1b" not in text
    for words in (
        "lung mass",
        "0.91",
        "right upper zone",
        "warning: Lung mass: CT chest",
        "Order CT",
        "ServiceRequest",
    ):
        assert words in text
    assert "imaging: identity_unresolved" in text


def test_the_screen_says_why_a_film_has_no_findings_and_gives_no_number(state: DemoState) -> None:
    refused = {"result": {"rejection": {"code": "model_refused", "reason": "the model was not verified"}}}
    text = printed(lambda screen: screen.show(shown(film=refused), state, repeated=False))
    assert "no findings: the model was not verified (model_refused)" in text
    assert "0.91" not in text


def test_the_screen_says_which_models_are_refused() -> None:
    health = {
        "models": [{"id": "adult", "state": "refused", "reason": "sha256 differs"}, {"id": "x", "state": "served"}]
    }
    text = printed(lambda screen: screen.models(health))
    assert text.strip() == "model adult is refused: sha256 differs"


def test_what_was_shown_survives_to_the_next_start(state: DemoState) -> None:
    assert state.shown() is None
    state.remember(shown().as_record())
    kept = DemoState.of(state.folder).shown()
    assert kept is not None
    assert Shown.from_record(kept) == shown()


def test_the_birth_date_makes_the_age_that_the_report_states(tmp_path: Path) -> None:
    for day in (date(2026, 1, 1), date(2026, 12, 31)):
        at = datetime(day.year, day.month, day.day, 1, tzinfo=UTC)
        some = DemoState(tmp_path, DemoState.of(tmp_path / str(day)).seed, at)
        patient = read_patient(resources_of(patient_record(some)), patient_id=PATIENT_ID, at=at)
        assert f"{patient.age_at(at)}-year-old" in report_text(some)
