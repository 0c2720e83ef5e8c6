"""The reading room: views and queues, done, priority, told results, corrections, priors, opinions, monitoring, tour."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from cds.api import create_app
from cds.demo.film import demo_film
from cds.demo.record import ISSUER, RECORD_NUMBER
from cds.demo.state import DemoState
from cds.oversight.verdict_table import COLUMNS, export_verdicts
from cds.pages import more
from cds.service import Service
from cds.settings import Settings
from cds.store.films import PRIOR, film_by_id, store_imaging_result
from cds.store.reading_tables import ReadingEventRow
from cds.store.tables import FilmRow, VerdictRow
from tests.cds.pages.planted import HOSTILE, KEY, MODEL, NOW, SYSTEM, Planted, plant
from vision import ImagingResult, Radiograph
from vision.result import Finding, Mask

BOX = {"x0": 0.55, "y0": 0.5, "x1": 0.75, "y1": 0.7}


def view(planted: Planted, name: str) -> list[dict[str, str]]:
    answer = planted.client.get("/api/v1/worklist", params={"view": name})
    assert answer.status_code == 200
    return answer.json()  # type: ignore[no-any-return]


def test_an_untold_critical_result_is_in_its_queue_until_someone_notes_whom_they_told(planted: Planted) -> None:
    (row,) = view(planted, "untold")
    assert (row["level"], row["address"]) == ("urgent", f"/reports/{planted.report_id}")
    told = {"finding": "lung_mass", "to": "Dr. Ward", "how": "by telephone", "at": "2026-03-02T12:30:00Z"}
    address = f"/api/v1/reports/{planted.report_id}/told"
    assert planted.client.post(address, json=told).status_code == 201
    assert view(planted, "untold") == []
    page = planted.client.get(f"/cases/{planted.case_id}").text
    assert "told to Dr. Ward, by telephone, 2026-03-02 12:30; noted by reader" in page


@pytest.mark.parametrize(
    "wrong",
    [
        {"finding": "pneumothorax", "to": "Dr. Ward", "how": "by telephone"},
        {"finding": "lung_mass", "to": "", "how": "by telephone"},
        {"finding": "lung_mass", "to": "Dr. Ward", "how": "by telephone", "at": "2999-01-01T00:00:00Z"},
        {"finding": "lung_mass", "to": "Dr. Ward", "how": "by telephone", "at": "2026-03-02T12:30:00"},
    ],
)
def test_a_telling_that_cannot_have_been_is_refused(planted: Planted, wrong: dict[str, str]) -> None:
    assert planted.client.post(f"/api/v1/reports/{planted.report_id}/told", json=wrong).status_code == 422
    assert len(view(planted, "untold")) == 1


def test_a_film_is_unread_until_someone_opens_it_and_open_until_someone_is_done(planted: Planted) -> None:
    assert len(view(planted, "unread")) == 1
    planted.client.get(f"/cases/{planted.case_id}")
    assert view(planted, "unread") == []
    (row,) = view(planted, "open")
    assert row["reading"] == "opened, reader"
    address = f"/api/v1/studies/{planted.film_id}/reading"
    assert planted.client.post(address, json={"done": True}).status_code == 201
    assert view(planted, "open") == []
    assert [row["reading"] for row in view(planted, "done")] == ["done, reader"]
    assert planted.client.post(address, json={"done": False}).status_code == 201
    assert (len(view(planted, "open")), view(planted, "done")) == (1, [])


def test_a_film_fetched_for_comparison_is_not_on_the_worklist(planted: Planted, service: Service) -> None:
    assert view(planted, "open")
    with service.database.writing() as session:
        session.execute(update(FilmRow).where(FilmRow.id == planted.film_id).values(source=PRIOR))
    assert view(planted, "open") == []


def test_next_leads_to_the_first_open_film_that_is_not_the_one_just_left(planted: Planted) -> None:
    here = f"/cases/{planted.case_id}"
    assert planted.client.get("/next", follow_redirects=False).headers["location"] == here
    assert planted.client.get("/next", params={"after": here}, follow_redirects=False).headers["location"] == "/"


def test_a_person_sets_the_urgency_and_lifts_it_again(planted: Planted) -> None:
    address = f"/api/v1/studies/{planted.film_id}/priority"
    assert planted.client.post(address, json={"level": "critical", "reason": "patient unwell"}).status_code == 201
    (row,) = view(planted, "critical")
    assert (row["level"], row["set_by"], row["reason"].split(";")[0]) == ("critical", "reader", "patient unwell")
    assert planted.client.post(address, json={"level": None}).status_code == 201
    assert [(row["level"], row["set_by"]) for row in view(planted, "open")] == [("urgent", None)]
    assert planted.client.post(address, json={"level": "red"}).status_code == 422


def test_what_a_person_writes_is_never_markup(planted: Planted) -> None:
    planted.client.post(f"/api/v1/studies/{planted.film_id}/priority", json={"level": "urgent", "reason": HOSTILE})
    planted.client.post(
        f"/api/v1/reports/{planted.report_id}/told", json={"finding": "lung_mass", "to": HOSTILE, "how": HOSTILE}
    )
    asked = planted.client.post(f"/api/v1/studies/{planted.film_id}/opinions", json={"question": HOSTILE}).json()
    for address in ("/", f"/cases/{planted.case_id}", f"/opinions/{asked['id']}"):
        page = planted.client.get(address).text
        assert HOSTILE not in page
        assert "&lt;script&gt;" in page


def test_film_and_report_that_disagree_are_in_the_second_look_until_someone_judges(
    service: Service, client: TestClient, tmp_path: Path
) -> None:
    planted = plant(service, client, tmp_path, pneumothorax=0.9)
    (row,) = view(planted, "second-look")
    assert row["reason"] == "Pneumothorax: film 0.90, the report denies it"
    verdict = {"finding": "pneumothorax", "verdict": "disagree"}
    assert client.post(f"/api/v1/studies/{planted.film_id}/verdicts", json=verdict).status_code == 201
    assert view(planted, "second-look") == []


def test_a_follow_up_whose_date_has_passed_is_overdue(planted: Planted) -> None:
    rows = view(planted, "overdue")
    assert [(row["address"], row["reading"]) for row in rows] == [(f"/cases/{planted.case_id}", "was due 2026-03-16")]


def test_an_unknown_view_is_refused(planted: Planted) -> None:
    assert planted.client.get("/api/v1/worklist", params={"view": "all"}).status_code == 422
    assert planted.client.get("/?view=all").status_code == 404


def test_the_worklist_is_sent_again_only_when_it_has_changed(planted: Planted) -> None:
    first = planted.client.get("/")
    same = planted.client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    planted.client.post(f"/api/v1/studies/{planted.film_id}/reading", json={"done": True})
    changed = planted.client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200


def test_a_corrected_place_is_kept_shown_and_exported(planted: Planted, service: Service) -> None:
    address = f"/api/v1/studies/{planted.film_id}/verdicts"
    corrected = {"finding": "lung_mass", "verdict": "corrected", "regions": [BOX]}
    assert planted.client.post(address, json=corrected).status_code == 201
    assert planted.client.get("/api/v1/verdicts").json()[0]["regions"] == [BOX]
    page = planted.client.get(f"/cases/{planted.case_id}").text
    assert '<rect class="person" data-finding="lung_mass" x="0.55" y="0.5"' in page
    table = io.StringIO()
    with service.database.reading() as session:
        assert export_verdicts(session, table) == 1
    (row,) = csv.DictReader(io.StringIO(table.getvalue()))
    assert tuple(row) == COLUMNS
    assert (row["verdict"], row["present"], row["model_version"]) == ("corrected", "1", MODEL.version)
    assert RECORD_NUMBER not in table.getvalue()


@pytest.mark.parametrize(
    "wrong",
    [
        {"finding": "lung_mass", "verdict": "corrected"},
        {"finding": "lung_mass", "verdict": "agree", "regions": [BOX]},
        {"finding": "lung_mass", "verdict": "corrected", "regions": [{**BOX, "x1": 1.2}]},
        {"finding": "lung_mass", "verdict": "corrected", "regions": [{**BOX, "x1": BOX["x0"]}]},
    ],
)
def test_a_correction_that_means_nothing_is_refused(planted: Planted, wrong: dict[str, object]) -> None:
    assert planted.client.post(f"/api/v1/studies/{planted.film_id}/verdicts", json=wrong).status_code == 422


def test_no_word_that_was_said_can_be_changed(planted: Planted, service: Service) -> None:
    planted.client.post(
        f"/api/v1/studies/{planted.film_id}/verdicts", json={"finding": "lung_mass", "verdict": "agree"}
    )
    planted.client.get(f"/cases/{planted.case_id}")
    for row in (VerdictRow, ReadingEventRow):
        with pytest.raises((IntegrityError, OperationalError)), service.database.writing() as session:
            session.execute(update(row).values(said_by="someone else"))


def test_the_export_groups_films_by_patient_under_a_key_that_is_thrown_away(planted: Planted, service: Service) -> None:
    for finding in ("lung_mass", "pneumothorax"):
        body = {"finding": finding, "verdict": "disagree"}
        planted.client.post(f"/api/v1/studies/{planted.film_id}/verdicts", json=body)
    groups = []
    for _ in range(2):
        table = io.StringIO()
        with service.database.reading() as session:
            export_verdicts(session, table, since=NOW)
        rows = list(csv.DictReader(io.StringIO(table.getvalue())))
        assert len({row["patient"] for row in rows}) == 1
        assert {(row["finding"], row["present"]) for row in rows} == {("lung_mass", "0"), ("pneumothorax", "1")}
        groups.append(rows[0]["patient"])
    assert groups[0] != groups[1]


def test_a_finding_that_is_off_is_on_no_page_and_one_to_review_is_marked(
    tmp_path: Path,
) -> None:
    gates = {"lung_mass": "review_first", "pneumothorax": "off"}
    made = Service(Settings(data_dir=tmp_path / "data", api_keys={"reader": KEY}, finding_gates=gates))  # type: ignore[arg-type]
    made.database.migrate()
    client = TestClient(create_app(made), headers={"Authorization": f"Bearer {KEY}"})
    planted = plant(made, client, tmp_path)
    page = client.get(f"/films/{planted.film_id}").text
    assert "review first" in page
    assert 'data-verdict-on="lung_mass"' in page
    assert 'data-verdict-on="pneumothorax"' not in page
    assert "the site has switched it off" in page
    made.database.close()


def test_an_earlier_film_of_the_same_patient_is_shown_with_its_scores_and_another_patients_is_not(
    planted: Planted, service: Service, tmp_path: Path
) -> None:
    for name, number in (("earlier", RECORD_NUMBER), ("other", "RD-999999")):
        state = DemoState.of(tmp_path / name)
        film = demo_film(state, patient_id=number, issuer=ISSUER)
        film_id = service.film_arrivals.receive(film, source="upload", at=NOW - timedelta(days=300)).film_id
        result = ImagingResult(
            findings=(Finding(key="lung_mass", score=0.123, label=False, threshold=0.4, model=MODEL),), analysed_at=NOW
        )
        with service.database.writing() as session:
            store_imaging_result(session, film_id, result, at=NOW)
            session.execute(
                text("UPDATE film SET taken_at = :at, birth_date = NULL WHERE id = :id"),
                {"at": "2025-05-06 10:00:00.000000", "id": film_id},
            )
    page = planted.client.get(f"/cases/{planted.case_id}").text
    assert page.count('<option value="') >= 1
    assert "2025-05-06 10:00" in page
    assert page.count(">0.12<") == 1


def test_outlines_are_laid_over_the_film(planted: Planted, service: Service) -> None:
    heart = Mask(structure="heart", polygons=(((0.4, 0.5), (0.6, 0.5), (0.5, 0.8)),), model=MODEL)
    with service.database.writing() as session:
        session.execute(text("DELETE FROM imaging_result"))
        result = ImagingResult(masks=(heart,), analysed_at=NOW)
        store_imaging_result(session, planted.film_id, result, at=NOW)
    page = planted.client.get(f"/films/{planted.film_id}").text
    assert '<polygon class="heart" points="0.4,0.5 0.6,0.5 0.5,0.8 "/>' in page


def test_a_second_opinion_shows_neither_identity_nor_date_nor_findings_and_is_answered_once(planted: Planted) -> None:
    address = f"/api/v1/studies/{planted.film_id}/opinions"
    asked = planted.client.post(address, json={"question": "Is the mass calcified?"}).json()
    page = planted.client.get(f"/opinions/{asked['id']}").text
    assert "Is the mass calcified?" in page
    assert "/monitoring" not in page
    for secret in (RECORD_NUMBER, "Musterfrau", planted.film_id, planted.case_id, "2026", "lung_mass", "0.91"):
        assert secret not in page, secret
    picture = planted.client.get(f"/opinions/{asked['id']}/film.png")
    assert picture.content.startswith(b"\x89PNG")
    reply = f"/api/v1/opinions/{asked['id']}/reply"
    assert planted.client.post(reply, json={"reply": "No."}).status_code == 201
    assert planted.client.post(reply, json={"reply": "Yes."}).status_code == 409
    assert ">reader</strong>, " in planted.client.get(f"/cases/{planted.case_id}").text
    assert planted.client.get("/opinions/none").status_code == 404


def test_names_do_not_go_along_with_the_report_and_only_readers_of_cases_learn_whose_it_is(
    planted: Planted, service: Service
) -> None:
    with service.database.reading() as session:
        film = film_by_id(session, planted.film_id)
    assert film is not None
    words = (
        f"CHEST, PA. Patient: Erika Musterfrau, MRN: {RECORD_NUMBER}, seen on 2026-03-01 at Northwood Hospital.\n"
        "A 12 mm nodule in the right upper lobe. Discussed with Dr. Quentin Hartwell, tel 555-123-4567.\n"
        "Electronically signed by: Jane Roe, MD"
    )
    report = {
        "resourceType": "DiagnosticReport", "id": "told-1", "status": "final", "conclusion": words,
        "issued": "2026-12-01T10:00:00Z", "subject": {"identifier": {"system": SYSTEM, "value": RECORD_NUMBER}},
        "imagingStudy": [{"identifier": {"system": "urn:dicom:uid", "value": film.row.study_instance_uid}}],
    }  # fmt: skip
    service.report_arrivals.receive_fhir(report, source="fhir", at=NOW + timedelta(days=400))
    address = f"/api/v1/studies/{planted.film_id}/opinions"
    question = f"Is the nodule of {RECORD_NUMBER} new? Ask Dr. Quentin Hartwell."
    asked = planted.client.post(address, json={"question": question, "with_report": True}).json()
    page = planted.client.get(f"/opinions/{asked['id']}").text
    assert "A 12 mm nodule in the right upper lobe." in page
    planted_names = (
        "Musterfrau",
        "Erika",
        RECORD_NUMBER,
        "artwell",
        "uentin",
        "oe, MD",
        "Northwood",
        "555-123",
        "2026-03",
    )
    for secret in planted_names:
        assert secret not in page, secret
        assert secret not in str(asked), secret
    whose = planted.client.get(f"/api/v1/opinions/{asked['id']}").json()
    assert whose == {"id": asked["id"], "study_id": planted.film_id, "patient": f"{SYSTEM}|{RECORD_NUMBER}"}
    (entry,) = [entry for entry in service.audit.entries() if entry.what == "GET /api/v1/opinions/{opinion_id}"]
    assert entry.client == "reader"


def test_a_film_without_a_report_of_its_own_sends_none_along(planted: Planted, service: Service) -> None:
    with service.database.writing() as session:
        session.execute(text("DELETE FROM card"))
        session.execute(text("DELETE FROM report_result"))
        session.execute(text("UPDATE report SET identifier_value = 'ANOTHER'"))
    answer = planted.client.post(
        f"/api/v1/studies/{planted.film_id}/opinions", json={"question": "What is it?", "with_report": True}
    )
    assert answer.status_code == 422


def test_a_film_with_text_burned_in_is_not_shown_to_a_remote_reader(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = more.read_radiograph
    monkeypatch.setattr(more, "read_radiograph", lambda data: replace(read(data), burned_in=True))
    asked = planted.client.post(f"/api/v1/studies/{planted.film_id}/opinions", json={"question": "What is it?"}).json()
    assert "/film.png" not in planted.client.get(f"/opinions/{asked['id']}").text
    assert planted.client.get(f"/opinions/{asked['id']}/film.png").status_code == 403


def test_a_name_in_the_pixels_that_the_header_is_silent_about_does_not_reach_a_remote_reader(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = more.read_radiograph

    def written_on(data: bytes) -> Radiograph:
        film = read(data)
        words = np.zeros((900, 900), np.uint8)
        cv2.putText(words, "MUSTERFRAU", (60, 120), cv2.FONT_HERSHEY_SIMPLEX, 2, 255, 4, cv2.LINE_AA)
        pixels = np.maximum(cv2.resize(film.pixels, (900, 900)), words.astype(np.float32) / 255)
        return replace(film, pixels=pixels, burned_in=None)

    monkeypatch.setattr(more, "read_radiograph", written_on)
    asked = planted.client.post(f"/api/v1/studies/{planted.film_id}/opinions", json={"question": "What is it?"}).json()
    picture = planted.client.get(f"/opinions/{asked['id']}/film.png").content
    shown = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown.shape == (900, 900)
    assert shown[70:130, 60:440].max() == 0


def test_the_film_is_served_in_its_whole_depth(planted: Planted) -> None:
    answer = planted.client.get(f"/api/v1/studies/{planted.film_id}/pixels", params={"max_side": 512})
    rows, columns = int(answer.headers["film-rows"]), int(answer.headers["film-columns"])
    values = np.frombuffer(answer.content, "<u2")
    assert len(values) == rows * columns
    assert len(np.unique(values)) > 256
    assert 0 < float(answer.headers["film-width"]) <= 2


def test_monitoring_shows_agreement_turnaround_and_gates_and_metrics_hold_the_same(planted: Planted) -> None:
    planted.client.get(f"/cases/{planted.case_id}")
    for finding, verdict in (("lung_mass", "agree"), ("pneumothorax", "disagree")):
        body = {"finding": finding, "verdict": verdict}
        planted.client.post(f"/api/v1/studies/{planted.film_id}/verdicts", json=body)
    page = planted.client.get("/monitoring").text
    assert re.search(r"Lung mass</th><td>adult 1.2.3</td><td>all</td>.*?1.00</span>.*?1 of 1", page)
    assert "Every finding is automatic" in page
    metrics = planted.client.get("/metrics").text
    assert 'cds_finding_agreement{finding="lung_mass",model="adult 1.2.3"} 1.0' in metrics
    assert RECORD_NUMBER not in metrics
    assert "reader" not in metrics


def test_the_tour_reads_real_films_with_the_models_in_service_and_names_their_limits(client: TestClient) -> None:
    page = client.get("/tour").text
    assert "RG1_J2KI.dcm" in page
    assert client.get("/tour/masses.png").content.startswith(b"\x89PNG")
    assert re.search(r"<code>(wrong_body_part|wrong_modality)</code>", page) or "Not assessed." in page
    assert "Few patients per finding" in page or "limits" not in page
    assert client.get("/tour/none.png").status_code == 404


def test_every_page_of_the_reading_room_needs_a_key(planted: Planted) -> None:
    stranger = TestClient(planted.client.app)
    for address in (
        "/next",
        "/monitoring",
        "/tour",
        "/tour/masses.png",
        f"/reports/{planted.report_id}",
        "/opinions/x",
    ):
        assert stranger.get(address, follow_redirects=False).status_code == 401
    for address in ("reading", "priority", "opinions"):
        assert stranger.post(f"/api/v1/studies/{planted.film_id}/{address}", json={}).status_code == 401
