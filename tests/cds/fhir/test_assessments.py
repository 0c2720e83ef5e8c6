"""An assessment as FHIR R4: valid, complete, and never a number where there is none."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

from fhir.resources.R4B.bundle import Bundle

from cds.fhir.assessments import assessment_bundle
from cds.site.codes import SCORES, FindingCodes
from cds.site.configuration import FindingEntry
from fusion import Assessment, FollowUp, OrderCheck, RiskResult, ScoreResult, Suggestion
from fusion.assessment import Contribution, Evidence, InputUsed

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
RECORD = Evidence(kind="record", reference="Observation/o1", detail="urea 8 mmol/L")
USED = InputUsed(name="urea", value=8.0, unit="mmol/L", evidence=RECORD)
CODES = FindingCodes({"lung_nodule": FindingEntry("lung_nodule", "Lung nodule", "786838002")})


def score(name: str, **fields: Any) -> ScoreResult:
    return ScoreResult(**{"name": name, "title": name, "status": "ok", "citation": "c", "version": "1", **fields})


ASSESSMENT = Assessment(
    at=AT,
    scores=(
        score("whole", value=2, minimum=2, maximum=2, band="moderate", inputs=(USED,)),
        score("broken", value=1.5, minimum=1.5, maximum=1.5),
        score("words", value="low"),
        score("yes", value=True),
        score("parts", value={"total": 3, "rank": None}),
        score("unsure", status="incomplete", value=1, minimum=1, maximum=4, missing=("urea",)),
        score("other", status="not_applicable"),
    ),
    risks=(
        RiskResult(
            name="death",
            title="Death in hospital",
            status="ok",
            probability=0.12,
            outcome="death in hospital",
            population="adults",
            contributions=(Contribution(text="age 80", weight=0.4),),
            inputs=(USED,),
            missing=("lactate",),
            model="deterioration",
            model_version="1",
            sha256="0" * 64,
        ),
        RiskResult(
            name="off",
            title="Off",
            status="not_served",
            outcome="x",
            population="y",
            model="m",
            model_version="1",
            sha256="0" * 64,
        ),
    ),
    follow_ups=(
        FollowUp(
            key="k1",
            action="overdue",
            source="rule",
            rule_id="nodule",
            rule_version="1",
            finding="lung_nodule",
            summary="CT is due",
            severity="warning",
            suggestions=(Suggestion(orderable="ct_chest", text="CT chest"),),
            due_from=date(2026, 2, 1),
            due_to=date(2026, 2, 20),
            citation="c",
        ),
        FollowUp(
            key="k2",
            action="close",
            source="rule",
            rule_id="r",
            rule_version="1",
            summary="s",
            severity="info",
            citation="c",
        ),
    ),
    order_checks=(
        OrderCheck(
            order_id="ServiceRequest/d1",
            rule_id="kidney",
            rule_version="1",
            severity="critical",
            summary="eGFR below 30",
            detail="Consider.",
            citation="c",
            evidence=(RECORD,),
        ),
    ),
)


def resources() -> list[dict[str, Any]]:
    return [entry["resource"] for entry in assessment_bundle(ASSESSMENT, "p1", CODES)["entry"]]


def of_code(code: str) -> dict[str, Any]:
    return next(r for r in resources() if r["code"]["coding"][0]["code"] == code)


def test_the_bundle_is_valid_r4_and_holds_what_applies() -> None:
    bundle = Bundle.model_validate(assessment_bundle(ASSESSMENT, "p1", CODES))
    kinds = Counter(entry.resource.get_resource_type() for entry in bundle.entry)
    assert kinds == {"RiskAssessment": 1, "Observation": 6, "DetectedIssue": 1, "Task": 1}


def test_an_empty_assessment_is_an_empty_bundle() -> None:
    assert assessment_bundle(Assessment(at=AT), "p1", CODES)["entry"] == []


def test_a_risk_carries_model_population_basis_and_what_was_missing() -> None:
    risk = of_code("death")
    assert risk["prediction"] == [
        {"outcome": {"text": "death in hospital"}, "probabilityDecimal": 0.12, "rationale": "age 80"}
    ]
    assert risk["basis"] == [{"reference": "Observation/o1"}]
    assert [note["text"] for note in risk["note"]] == ["Population: adults", "Missing: lactate"]


def test_a_score_has_its_value_in_the_type_that_fits() -> None:
    assert of_code("whole")["valueInteger"] == 2
    assert of_code("broken")["valueQuantity"] == {"value": 1.5}
    assert of_code("words")["valueString"] == "low"
    assert of_code("yes")["valueBoolean"] is True
    assert [part["valueString"] for part in of_code("parts")["component"]] == ["3"]


def test_a_score_that_is_not_certain_has_no_value_but_its_bounds() -> None:
    unsure = of_code("unsure")
    assert not [name for name in unsure if name.startswith("value")]
    assert unsure["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert unsure["status"] == "preliminary"
    assert {"text": "Possible: 1 to 4"} in unsure["note"]


def test_a_follow_up_is_a_proposal_with_its_window_and_finding() -> None:
    task = next(r for r in resources() if r["resourceType"] == "Task")
    assert (task["intent"], task["businessStatus"]["text"]) == ("proposal", "overdue")
    assert task["restriction"]["period"] == {"start": "2026-02-01", "end": "2026-02-20"}
    assert task["reasonCode"]["coding"][0]["code"] == "786838002"


def test_an_order_check_names_the_draft_and_its_evidence() -> None:
    issue = next(r for r in resources() if r["resourceType"] == "DetectedIssue")
    assert issue["severity"] == "high"
    assert issue["implicated"] == [{"reference": "ServiceRequest/d1"}]
    assert issue["evidence"] == [{"detail": [{"reference": "Observation/o1"}]}]


def test_scores_have_the_projects_own_code_system() -> None:
    assert of_code("whole")["code"]["coding"] == [{"system": SCORES, "code": "whole"}]
