"""The pages: what a case shows, what they never show, and that nothing of a patient's text is ever markup."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from cds.demo.film import demo_film
from cds.demo.record import ISSUER, RECORD_NUMBER
from cds.demo.state import DemoState
from cds.pages.highlights import Mark, pieces_of
from cds.pages.words import due, quantity, since
from cds.service import Service
from cds.store.films import store_imaging_result
from cds.store.ledger import case_by_id, store_case
from tests.cds.pages.planted import HOSTILE, MODEL, NOW, Planted, report_resource
from vision import ImagingResult
from vision.result import Rejection


def test_a_case_shows_film_heatmap_regions_and_report(planted: Planted) -> None:
    page = planted.client.get(f"/cases/{planted.case_id}").text
    assert f"/api/v1/studies/{planted.film_id}/film.png" in page
    assert f"/api/v1/studies/{planted.film_id}/heatmaps/" in page
    assert re.search(r'<rect data-finding="lung_mass" x="0.1" y="0.2"', page)
    assert 'title="Lung mass: present, right; to be told within hours: Lung mass">mass</mark>' in page
    assert re.search(r'<mark class="finding absent"[^>]*>pneumothorax</mark>', page)


def test_film_and_report_stand_side_by_side_and_together_only_where_the_site_has_a_model_of_its_own(
    planted: Planted, service: Service
) -> None:
    page = planted.client.get(f"/cases/{planted.case_id}").text
    assert re.search(r'num strong">0.91</span>', page)
    assert "Film and report together" not in page
    with service.database.writing() as session:
        case = case_by_id(session, planted.case_id)
        assert case is not None
        (view, *_) = case.assessment.findings
        seen = view.model_copy(update={"combined_probability": 0.876, "combined_model": "site-pairs 3"})
        assessment = case.assessment.model_copy(update={"findings": (seen,), "at": NOW + timedelta(minutes=1)})
        store_case(
            session,
            case.subject,
            assessment,
            film_id=planted.film_id,
            report_id=planted.report_id,
            at=NOW + timedelta(minutes=1),
        )
    page = planted.client.get(f"/cases/{planted.case_id}").text
    assert re.search(r'Film and report together</strong> <span class="num strong">0.88</span>', page)
    assert "site-pairs 3" in page


def test_a_case_shows_scores_with_what_is_missing_and_next_steps_with_their_reasons(planted: Planted) -> None:
    page = planted.client.get(f"/cases/{planted.case_id}").text
    shown = ("6–9", "consciousness (ACVPU)", "Lung mass: CT chest within 2 weeks", "by 2026-03-16", "NICE NG12")
    shown += ("eGFR 30 to 44", "not in intensive care", "1.2.3", "c0ffee", "record</strong> stale")
    assert [words for words in shown if words not in page] == []


def test_text_of_a_report_is_never_markup(planted: Planted) -> None:
    page = planted.client.get(f"/cases/{planted.case_id}").text
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_pages_hold_no_inline_script_or_style_and_load_nothing_from_elsewhere(planted: Planted) -> None:
    for address in ("/", f"/cases/{planted.case_id}", f"/films/{planted.film_id}"):
        response = planted.client.get(address)
        page = response.text
        assert not re.search(r"<script(?![^>]*\bsrc=)", page)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)
        assert not re.search(r"(src|href)=\"(https?:)?//", page)
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"


def test_no_page_shows_the_name_in_the_films_header(planted: Planted) -> None:
    for address in ("/", f"/cases/{planted.case_id}", f"/films/{planted.film_id}"):
        assert "Musterfrau" not in planted.client.get(address).text


def test_pages_need_a_key_and_ask_the_browser_for_it(planted: Planted) -> None:
    stranger = TestClient(planted.client.app)
    for address in ("/", f"/cases/{planted.case_id}", f"/films/{planted.film_id}"):
        answer = stranger.get(address)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
        assert answer.text == ""


def test_the_worklist_puts_the_untold_critical_result_first(planted: Planted) -> None:
    page = planted.client.get("/").text
    assert f"/cases/{planted.case_id}" in page
    assert "demo-hospital | RD-100417" in page
    assert "Lung mass in the report, not yet documented as told" in page
    assert 'class="tag urgent"' in page


def test_a_film_without_an_assessment_shows_its_own_report(
    service: Service, client: TestClient, tmp_path: Path
) -> None:
    state = DemoState.of(tmp_path / "demo")
    film = demo_film(state, patient_id=RECORD_NUMBER, issuer=ISSUER)
    film_id = service.film_arrivals.receive(film, source="upload", at=NOW).film_id
    service.report_arrivals.receive_fhir(report_resource(state), source="fhir", at=NOW)
    page = client.get(f"/films/{film_id}").text
    assert "Large mass in the right lung" in page
    assert "The film waits for its analysis" in page
    assert "No request has asked for an assessment" in page


def test_a_report_of_the_same_study_but_of_another_birth_date_is_not_shown(
    service: Service, client: TestClient, tmp_path: Path
) -> None:
    state = DemoState.of(tmp_path / "demo")
    film = demo_film(state, patient_id=RECORD_NUMBER, issuer=ISSUER)
    film_id = service.film_arrivals.receive(film, source="upload", at=NOW).film_id
    patient = {"resourceType": "Patient", "birthDate": "1999-09-09"}
    service.report_arrivals.receive_fhir(report_resource(state), patient=patient, source="fhir", at=NOW)
    page = client.get(f"/films/{film_id}").text
    assert "Large mass in the right lung" not in page
    assert "No report is joined with this film" in page


def test_a_rejected_film_is_shown_with_its_reason_and_no_number(
    service: Service, client: TestClient, tmp_path: Path
) -> None:
    film = demo_film(DemoState.of(tmp_path / "demo"), patient_id=RECORD_NUMBER, issuer=ISSUER)
    film_id = service.film_arrivals.receive(film, source="upload", at=NOW).film_id
    refused = ImagingResult(rejection=Rejection(code="not_chest", reason="not a frontal chest film"), analysed_at=NOW)
    with service.database.writing() as session:
        store_imaging_result(session, film_id, refused, at=NOW)
    page = client.get(f"/films/{film_id}").text
    assert "not a frontal chest film" in page
    assert 'class="measure"' not in page
    assert "not a frontal chest film" in client.get("/").text


@pytest.mark.parametrize("address", ["/cases/none", "/films/none"])
def test_an_unknown_address_is_a_page_that_says_so(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert "Nothing under this address" in answer.text


def test_a_verdict_is_kept_with_who_said_it_and_on_which_model(planted: Planted) -> None:
    address = f"/api/v1/studies/{planted.film_id}/verdicts"
    for verdict in ("disagree", "agree"):
        assert planted.client.post(address, json={"finding": "lung_mass", "verdict": verdict}).status_code == 201
    kept = planted.client.get("/api/v1/verdicts").json()
    assert [row["verdict"] for row in kept] == ["agree", "disagree"], "a second word does not replace the first"
    assert {row["said_by"] for row in kept} == {"reader"}
    assert {(row["model"], row["model_version"], row["model_sha256"], row["score"]) for row in kept} == {
        (MODEL.id, MODEL.version, MODEL.sha256, 0.91)
    }
    page = planted.client.get(f"/cases/{planted.case_id}").text
    assert re.search(r'value="agree" aria-pressed="true"', page)
    assert not re.search(r'value="disagree" aria-pressed="true"', page)


@pytest.mark.parametrize(
    "body",
    [
        {"finding": "lung_mass", "verdict": "perhaps"},
        {"finding": "fracture", "verdict": "agree"},
        {"finding": "lung_mass"},
        {"finding": "lung_mass", "verdict": "agree", "said_by": "someone else"},
    ],
)
def test_a_verdict_that_means_nothing_is_refused(planted: Planted, body: dict[str, str]) -> None:
    assert planted.client.post(f"/api/v1/studies/{planted.film_id}/verdicts", json=body).status_code == 422
    assert planted.client.get("/api/v1/verdicts").json() == []


def test_verdicts_need_a_key(planted: Planted) -> None:
    stranger = TestClient(planted.client.app)
    body = {"finding": "lung_mass", "verdict": "agree"}
    assert stranger.post(f"/api/v1/studies/{planted.film_id}/verdicts", json=body).status_code == 401
    assert stranger.get("/api/v1/verdicts").status_code == 401


def test_static_files_are_served_by_the_service_itself(client: TestClient) -> None:
    for name in ("style.css", "viewer.js", "verdicts.js", "worklist.js", "theme.js", "icon.svg"):
        assert client.get(f"/static/{name}").status_code == 200


@given(
    st.text(max_size=40),
    st.lists(st.tuples(st.integers(-5, 50), st.integers(-5, 50)), max_size=6),
)
def test_pieces_are_the_text_whatever_the_spans(text: str, spans: list[tuple[int, int]]) -> None:
    marks = [Mark("finding", start, end, f"{start}", "lung_mass", "present") for start, end in spans]
    pieces = pieces_of(text, marks)
    assert "".join(piece.text for piece in pieces) == text
    place = 0
    for piece in pieces:
        for mark in piece.marks:
            assert mark.start <= place < place + len(piece.text) <= mark.end
        place += len(piece.text)


def test_times_and_names_read_as_people_write_them() -> None:
    assert since(NOW - timedelta(minutes=12), NOW) == "12 min"
    assert since(NOW - timedelta(hours=30), NOW) == "30 h"
    assert since(NOW + timedelta(minutes=5), NOW) == "0 min"
    assert due(None, date(2026, 3, 16)) == "by 2026-03-16"
    assert due(date(2026, 3, 2), date(2026, 3, 16)) == "2026-03-02 to 2026-03-16"
    assert quantity("urea_mmol_l") == "urea"
    assert quantity("spo2_percent") == "SpO2"
