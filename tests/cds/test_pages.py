"""The pages: what a case shows, what they never show, and that nothing of a patient's text is ever markup."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from cds.api import create_app
from cds.demo.film import demo_film
from cds.demo.record import ISSUER, RECORD_NUMBER
from cds.demo.state import DemoState
from cds.pages.highlights import Mark, pieces_of
from cds.pages.words import due, quantity, since
from cds.service import Service
from cds.settings import Settings
from cds.store.films import store_imaging_result
from cds.store.ledger import store_case
from cds.store.reports import store_report_result
from fusion import Assessment
from fusion.assessment import (
    FindingView,
    FollowUp,
    InputUsed,
    Modality,
    OrderCheck,
    RiskResult,
    ScoreResult,
    Suggestion,
)
from nlp import StructuredReport
from nlp.result import CriticalResult, Mention, Recommendation
from vision import ImagingResult
from vision.result import Box, Finding, Heatmap, ModelRef, Region, Rejection

SYSTEM = "urn:oid:2.25.153203873041862379241874"
KEY = "a-key-of-the-tests-01"
HOSTILE = "<script>alert('x')</script>"
TEXT = f"FINDINGS: Large mass in the right lung. No pneumothorax. {HOSTILE}\nCT is recommended.\n"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MODEL = ModelRef(id="adult", version="1.2.3", sha256="c0ffee" + "0" * 58)


@dataclass(frozen=True)
class Planted:
    """A service with one film, one report and one assessment in its store."""

    service: Service
    client: TestClient
    film_id: str
    report_id: str
    case_id: str


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(Settings(data_dir=tmp_path / "data", api_keys={"reader": KEY}))
    made.database.migrate()
    yield made
    made.database.close()


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), headers={"Authorization": f"Bearer {KEY}"})


@pytest.fixture
def planted(service: Service, client: TestClient, tmp_path: Path) -> Planted:
    state = DemoState.of(tmp_path / "demo")
    film = demo_film(state, patient_id=RECORD_NUMBER, issuer=ISSUER)
    film_id = service.film_arrivals.receive(film, source="upload", at=NOW).film_id
    report_id = service.report_arrivals.receive_fhir(_report(state), source="fhir", at=NOW).report_id
    with service.database.writing() as session:
        store_imaging_result(session, film_id, _imaging(), at=NOW)
        store_report_result(session, report_id, _reading(), at=NOW)
        case_id = store_case(
            session, f"{SYSTEM}|{RECORD_NUMBER}", _assessment(), film_id=film_id, report_id=report_id, at=NOW
        )
    return Planted(service, client, film_id, report_id, case_id)


def _report(state: DemoState) -> dict[str, object]:
    return {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "subject": {"identifier": {"system": SYSTEM, "value": RECORD_NUMBER}},
        "imagingStudy": [{"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{state.uid('study')}"}}],
        "issued": NOW.isoformat(),
        "presentedForm": [{"contentType": "text/plain", "data": base64.b64encode(TEXT.encode()).decode()}],
    }


def _imaging() -> ImagingResult:
    return ImagingResult(
        findings=(
            Finding(key="lung_mass", score=0.91, label=True, threshold=0.4, model=MODEL),
            Finding(key="pneumothorax", score=0.04, label=False, threshold=0.3, model=MODEL),
        ),
        view="PA",
        population="adult",
        regions=(
            Region(
                finding="lung_mass",
                box=Box(x0=0.1, y0=0.2, x1=0.3, y1=0.4),
                score=0.9,
                side="right",
                zone="upper",
            ),
        ),
        heatmaps=(Heatmap(finding="lung_mass", height=2, width=2, values=(0.0, 1.0, 0.2, 0.1)),),
        models=(MODEL,),
        analysed_at=NOW,
    )


def _reading() -> StructuredReport:
    def span(words: str) -> dict[str, int]:
        start = TEXT.index(words)
        return {"start": start, "end": start + len(words)}

    return StructuredReport(
        findings=(
            Mention(finding="lung_mass", assertion="present", laterality="right", section="findings", **span("mass")),
            Mention(finding="pneumothorax", assertion="absent", section="findings", **span("pneumothorax")),
        ),
        recommendations=(Recommendation(modality="CT", **span("CT is recommended")),),
        critical=(CriticalResult(finding="lung_mass", urgency=2, **span("mass")),),
        model_version="7",
        extracted_at=NOW,
    )


def _assessment() -> Assessment:
    return Assessment(
        at=NOW,
        modalities=(
            Modality(name="imaging", status="used", at=NOW),
            Modality(name="report", status="used", detail="final", at=NOW),
            Modality(name="record", status="stale", at=NOW),
        ),
        findings=(
            FindingView(
                key="lung_mass",
                report_assertion="present",
                image_score=0.91,
                image_label=True,
                agreement="agree",
            ),
        ),
        scores=(
            ScoreResult(
                name="news2",
                title="NEWS2",
                status="incomplete",
                value=6,
                minimum=6,
                maximum=9,
                inputs=(InputUsed(name="temperature_c", value=38.2, unit="Cel"),),
                missing=("consciousness_acvpu",),
                citation="RCP 2017",
                version="1",
            ),
        ),
        risks=(
            RiskResult(
                name="deterioration",
                title="In-hospital death",
                status="not_applicable",
                reason="not in intensive care",
                outcome="death",
                population="adult intensive care",
                model="deterioration",
                model_version="3",
                sha256="d" * 64,
            ),
        ),
        follow_ups=(
            FollowUp(
                key="k",
                action="open",
                source="rule",
                rule_id="lung_mass",
                rule_version="1.0",
                summary="Lung mass: CT chest within 2 weeks",
                severity="warning",
                suggestions=(Suggestion(orderable="ct_chest_with_contrast", text="CT chest with contrast"),),
                due_to=date(2026, 3, 16),
                citation="NICE NG12",
            ),
        ),
        order_checks=(
            OrderCheck(
                order_id="o1",
                rule_id="contrast",
                rule_version="1.0",
                severity="info",
                summary="eGFR 30 to 44",
                detail="At your discretion.",
                citation="ACR 2020",
            ),
        ),
    )


def test_a_case_shows_film_heatmap_regions_and_report(planted: Planted) -> None:
    page = planted.client.get(f"/cases/{planted.case_id}").text
    assert f"/api/v1/studies/{planted.film_id}/film.png" in page
    assert f"/api/v1/studies/{planted.film_id}/heatmaps/" in page
    assert re.search(r'<rect data-finding="lung_mass" x="0.1" y="0.2"', page)
    assert 'title="Lung mass: present, right; to be told within hours: Lung mass">mass</mark>' in page
    assert re.search(r'<mark class="finding absent"[^>]*>pneumothorax</mark>', page)


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
    service.report_arrivals.receive_fhir(_report(state), source="fhir", at=NOW)
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
    service.report_arrivals.receive_fhir(_report(state), patient=patient, source="fhir", at=NOW)
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
