"""Assessment -> FHIR R4 resources: what another system can store of it, with inputs, model and uncertainty.

Risks become RiskAssessment, scores Observation, order checks DetectedIssue, follow-ups Task. Knows no store and no web.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cds.site.codes import RULES, SCORES, FindingCodes
from fusion import Assessment, FollowUp, OrderCheck, RiskResult, ScoreResult
from fusion.assessment import Evidence, InputUsed

_SEVERITIES = {"critical": "high", "warning": "moderate", "info": "low"}
_UNKNOWN = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_Json = dict[str, Any]


def assessment_bundle(assessment: Assessment, patient_id: str, codes: FindingCodes) -> _Json:
    """Return a collection Bundle of everything that an assessment says; what does not apply is left out."""
    subject = {"reference": f"Patient/{patient_id}"}
    at = assessment.at.isoformat()
    resources = [
        *risk_assessments(assessment, subject),
        *score_observations(assessment, subject),
        *(_present(_check(check, subject, at)) for check in assessment.order_checks),
        *(follow_up_task(f, subject, at, codes) for f in assessment.follow_ups if f.action != "close"),
    ]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": at,
        "entry": [{"resource": resource} for resource in resources],
    }


def risk_assessments(assessment: Assessment, subject: _Json, *, case_id: str | None = None) -> list[_Json]:
    """Return the RiskAssessments of the risks that were computed.

    case_id  of the assessment where it is kept; the ids of the resources begin with it
    """
    at = assessment.at.isoformat()
    served = [risk for risk in assessment.risks if risk.status == "ok"]
    return [_present({**_risk(risk, subject, at), "id": _id(case_id, risk.name)}) for risk in served]


def score_observations(assessment: Assessment, subject: _Json, *, case_id: str | None = None) -> list[_Json]:
    """Return the Observations of the scores that apply; `case_id` as of `risk_assessments`."""
    at = assessment.at.isoformat()
    applicable = [score for score in assessment.scores if score.status != "not_applicable"]
    return [_present({**_score(score, subject, at), "id": _id(case_id, score.name)}) for score in applicable]


def follow_up_task(
    follow_up: FollowUp, subject: _Json, at: str, codes: FindingCodes, *, task_id: str | None = None
) -> _Json:
    """Return the Task of a follow-up; `task_id` where it is kept."""
    task: _Json = _present({**_task(follow_up, subject, at, codes), "id": task_id})
    return task


def _id(case_id: str | None, name: str) -> str | None:
    return f"{case_id}.{name.replace('_', '-')}" if case_id else None


def _risk(risk: RiskResult, subject: _Json, at: str) -> _Json:
    reasons = "; ".join(reason.text for reason in risk.contributions)
    notes = [f"Population: {risk.population}", *([f"Missing: {', '.join(risk.missing)}"] if risk.missing else [])]
    return {
        "resourceType": "RiskAssessment",
        "status": "preliminary",
        "method": {"text": f"{risk.model} {risk.model_version} (sha256 {risk.sha256})"},
        "code": _concept(SCORES, risk.name, risk.title),
        "subject": subject,
        "occurrenceDateTime": at,
        "basis": _references(_evidence_of(risk.inputs)),
        "prediction": [
            {"outcome": {"text": risk.outcome}, "probabilityDecimal": risk.probability, "rationale": reasons or None}
        ],
        "note": [{"text": note} for note in notes],
    }


def _score(score: ScoreResult, subject: _Json, at: str) -> _Json:
    notes = [f"Source: {score.citation} (version {score.version})"]
    if score.missing:
        notes.append(f"Missing: {', '.join(score.missing)}")
    if score.minimum != score.maximum:
        notes.append(f"Possible: {score.minimum} to {score.maximum}")
    if score.possible:
        notes.append(f"Possible: {', '.join(map(str, score.possible))}")
    return {
        "resourceType": "Observation",
        "status": "final" if score.status == "ok" else "preliminary",
        "code": _concept(SCORES, score.name, score.title),
        "subject": subject,
        "effectiveDateTime": at,
        **_value(score),
        "interpretation": [{"text": score.band}] if score.band else None,
        "derivedFrom": _references(_evidence_of(score.inputs), ("Observation",)),
        "note": [{"text": note} for note in notes],
    }


def _value(score: ScoreResult) -> _Json:
    value = score.value
    if score.status != "ok" or value is None:
        return {"dataAbsentReason": {"coding": [{"system": _UNKNOWN, "code": "unknown"}]}}
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, int):
        return {"valueInteger": value}
    if isinstance(value, float):
        return {"valueQuantity": {"value": value}}
    if not isinstance(value, dict):
        return {"valueString": str(value)}
    components = {name: item for name, item in value.items() if item is not None}
    return {
        "component": [
            {"code": _concept(SCORES, f"{score.name}.{name}", name), "valueString": str(item)}
            for name, item in components.items()
        ]
    }


def _check(check: OrderCheck, subject: _Json, at: str) -> _Json:
    return {
        "resourceType": "DetectedIssue",
        "status": "preliminary",
        "code": _concept(RULES, check.rule_id, check.summary),
        "severity": _SEVERITIES[check.severity],
        "patient": subject,
        "identifiedDateTime": at,
        "implicated": [{"reference": check.order_id}] if "#" not in check.order_id else None,
        "evidence": [{"detail": references}] if (references := _references(check.evidence)) else None,
        "detail": f"{check.detail} Source: {check.citation} (version {check.rule_version})",
        "mitigation": [{"action": {"text": step.text}} for step in check.suggestions] or None,
    }


def _task(follow_up: FollowUp, subject: _Json, at: str, codes: FindingCodes) -> _Json:
    period = {"start": follow_up.due_from, "end": follow_up.due_to}
    due = {name: day.isoformat() for name, day in period.items() if day is not None}
    return {
        "resourceType": "Task",
        "identifier": [{"system": RULES, "value": follow_up.key}],
        "status": "requested",
        "businessStatus": {"text": follow_up.action},
        "intent": "proposal",
        "code": _concept(RULES, follow_up.rule_id, follow_up.summary),
        "description": "; ".join(step.text for step in follow_up.suggestions) or follow_up.summary,
        "for": subject,
        "authoredOn": at,
        "reasonCode": codes.concept(follow_up.finding) if follow_up.finding else None,
        "restriction": {"period": due} if due else None,
    }


def _concept(system: str, code: str, text: str) -> _Json:
    return {"coding": [{"system": system, "code": code}], "text": text}


def _evidence_of(inputs: Iterable[InputUsed]) -> Iterator[Evidence]:
    return (used.evidence for used in inputs if used.evidence is not None)


def _references(evidence: Iterable[Evidence], kinds: tuple[str, ...] = ()) -> list[_Json] | None:
    """Return the resources of the record among the evidence, each once."""
    named = dict.fromkeys(e.reference for e in evidence if e.kind == "record" and "#" not in e.reference)
    kept = [reference for reference in named if not kinds or reference.partition("/")[0] in kinds]
    return [{"reference": reference} for reference in kept] or None


def _present(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _present(item) for name, item in value.items() if item is not None}
    return [_present(item) for item in value] if isinstance(value, list) else value
