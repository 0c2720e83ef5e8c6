"""A service with one film, one report and one assessment in its store, for the tests of pages and reading room."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from fastapi.testclient import TestClient

from cds.demo.film import demo_film
from cds.demo.record import ISSUER, RECORD_NUMBER
from cds.demo.state import DemoState
from cds.service import Service
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
from vision.result import Box, Finding, Heatmap, ModelRef, Region

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


def plant(service: Service, client: TestClient, folder: Path, *, pneumothorax: float = 0.04) -> Planted:
    """Store film, report, results and assessment."""
    state = DemoState.of(folder / "demo")
    film = demo_film(state, patient_id=RECORD_NUMBER, issuer=ISSUER)
    film_id = service.film_arrivals.receive(film, source="upload", at=NOW).film_id
    report_id = service.report_arrivals.receive_fhir(report_resource(state), source="fhir", at=NOW).report_id
    with service.database.writing() as session:
        store_imaging_result(session, film_id, _imaging(pneumothorax), at=NOW)
        store_report_result(session, report_id, _reading(), at=NOW)
        case_id = store_case(
            session, f"{SYSTEM}|{RECORD_NUMBER}", _assessment(), film_id=film_id, report_id=report_id, at=NOW
        )
    return Planted(service, client, film_id, report_id, case_id)


def report_resource(state: DemoState) -> dict[str, object]:
    return {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "subject": {"identifier": {"system": SYSTEM, "value": RECORD_NUMBER}},
        "imagingStudy": [{"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{state.uid('study')}"}}],
        "issued": NOW.isoformat(),
        "presentedForm": [{"contentType": "text/plain", "data": base64.b64encode(TEXT.encode()).decode()}],
    }


def _imaging(pneumothorax: float) -> ImagingResult:
    return ImagingResult(
        findings=(
            Finding(key="lung_mass", score=0.91, label=True, threshold=0.4, model=MODEL),
            Finding(key="pneumothorax", score=pneumothorax, label=pneumothorax >= 0.3, threshold=0.3, model=MODEL),
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
