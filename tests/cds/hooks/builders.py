"""Requests, records and stored results for tests of the hooks, each the smallest that says something."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cds.service import Service
from cds.store.films import FilmHeader, add_film, store_imaging_result
from cds.store.reports import ReportHeader, add_report, store_report_result
from nlp import StructuredReport
from nlp.result import Mention, Recommendation
from vision import ImagingResult
from vision.result import Finding, ModelRef

Json = dict[str, Any]

SYSTEM = "urn:oid:2.25.153203873041862379241874"
NUMBER = "MRN-1"
LOINC = "http://loinc.org"
REPORT_TEXT = (
    "FINDINGS: Clear pleura. There is a 9 mm nodule in the right upper lobe. Normal heart.\nIMPRESSION: CT advised."
)
NOW = datetime.now(UTC).replace(microsecond=0)
RULES = """
rules:
  - id: kidney_and_contrast
    version: "1"
    trigger: {order: {contrast: [with]}}
    inputs: [egfr]
    condition: egfr < 30.0
    suggestions:
      - {orderable: ct_chest_without_contrast, text: CT chest without contrast, urgency: urgent}
      - {orderable: creatinine, text: Repeat creatinine}
      - {orderable: hiv_test, text: A test that has no code}
    severity: warning
    summary: "eGFR below 30: contrast carries a risk of kidney injury"
    detail: Consider an examination without contrast.
    citation: ACR Manual on Contrast Media 2023
    verification: policy
    owner: tests
    reviewed_on: 2026-01-01
  - id: duplicate_examination
    version: "2"
    trigger: {order: {region: [chest]}}
    inputs: [same_exam_hours]
    condition: same_exam_hours.exists(h, h <= 24.0)
    severity: info
    summary: The same examination was done in the last 24 hours
    detail: See its result first.
    citation: Policy of this hospital
    verification: policy
    owner: tests
    reviewed_on: 2026-01-01
  - id: nodule_follow_up
    version: "1"
    trigger: {finding: [lung_nodule]}
    inputs: [finding_source]
    condition: finding_source == "report"
    suggestions:
      - {orderable: ct_chest_without_contrast, text: CT chest of the nodule, urgency: routine, due_days: [0, 20]}
    severity: warning
    summary: "Lung nodule in the report: CT chest is due"
    detail: A nodule on a film is characterised by CT.
    citation: MacMahon 2017
    verification: policy
    owner: tests
    reviewed_on: 2026-01-01
"""


def bundle(*resources: Json, next_page: str | None = None) -> Json:
    links = {"link": [{"relation": "next", "url": next_page}]} if next_page else {}
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in resources], **links}


def patient(identifier: str = "p1", /, **changes: Any) -> Json:
    return {
        "resourceType": "Patient",
        "id": identifier,
        "identifier": [{"system": SYSTEM, "value": NUMBER}],
        "birthDate": "1961-04-02",
        "gender": "female",
        **changes,
    }


def observation(code: str, value: float, unit: str, identifier: str = "o1", days_ago: float = 1) -> Json:
    return {
        "resourceType": "Observation",
        "id": identifier,
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": (NOW - timedelta(days=days_ago)).isoformat(),
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": unit, "unit": unit},
    }


def kidney_failure() -> Json:
    return observation("98979-8", 22, "mL/min/{1.73_m2}", "egfr")


def order(code: str | None = "24628-0", identifier: str = "draft-1", system: str = LOINC, **changes: Any) -> Json:
    coding = [{"system": system, "code": code}] if code else []
    return {
        "resourceType": "ServiceRequest",
        "id": identifier,
        "status": "draft",
        "intent": "order",
        "code": {"coding": coding, "text": "an examination"},
        "subject": {"reference": "Patient/p1"},
        **changes,
    }


def context(hook: str, **changes: Any) -> Json:
    common: Json = {"userId": "Practitioner/doctor", "patientId": "p1", "encounterId": "e1"}
    if hook.startswith("order-"):
        common["draftOrders"] = {"resourceType": "Bundle", "entry": [{"resource": order()}]}
    if hook == "order-select":
        common["selections"] = ["ServiceRequest/draft-1"]
    return {**common, **changes}


def call(
    hook: str = "patient-view", *, prefetch: Json | None = None, context_changes: Json | None = None, **fields: Any
) -> Json:
    """Return a request; `prefetch` is laid over the patient, `fields` over the envelope."""
    return {
        "hook": hook,
        "hookInstance": str(uuid.uuid4()),
        "context": context(hook, **(context_changes or {})),
        "prefetch": {"patient": patient(), **(prefetch or {})},
        **fields,
    }


def risky_order_call(hook: str = "order-sign", **fields: Any) -> Json:
    """Return a call that makes `kidney_and_contrast` fire on a CT with contrast."""
    return call(hook, prefetch={"laboratory": bundle(kidney_failure())}, **fields)


def plant_film(service: Service, *, number: str = NUMBER, accession: str | None = None, **result: Any) -> str:
    """Store a film of the test patient with a result that shows a lung mass; return its id."""
    header = FilmHeader(
        sop_instance_uid=f"2.25.{uuid.uuid4().int}",
        study_instance_uid="2.25.1",
        series_instance_uid="2.25.2",
        identifier_system=SYSTEM,
        identifier_value=number,
        accession_system=None,
        accession=accession,
        birth_date=date(1961, 4, 2),
        sex="female",
        taken_at=NOW - timedelta(hours=3),
    )
    model = ModelRef(id="adult", version="1", sha256="0" * 64)
    finding = Finding(key="lung_mass", score=0.83, label=True, threshold=0.5, model=model)
    content = {"findings": (finding,), "analysed_at": NOW, **result}
    with service.database.writing() as session:
        film, _ = add_film(session, header, uuid.uuid4().hex * 2, source="test", at=NOW - timedelta(hours=2))
        store_imaging_result(session, film.id, ImagingResult(**content), at=NOW)
        return film.id


def plant_report(
    service: Service, *, number: str = NUMBER, status: str = "final", text: str = "", **result: Any
) -> str:
    """Store a report of the test patient that names a lung nodule; return its id."""
    digest = service.blobs.put((text or REPORT_TEXT).encode())
    header = ReportHeader(
        source="test",
        source_id=str(uuid.uuid4()),
        identifier_system=SYSTEM,
        identifier_value=number,
        accession_system=None,
        accession=None,
        study_instance_uid=None,
        birth_date=date(1961, 4, 2),
        sex="female",
        status=status,  # type: ignore[arg-type]
        issued_at=NOW - timedelta(hours=1),
    )
    at = REPORT_TEXT.index("nodule")
    nodule = Mention(finding="lung_nodule", assertion="present", section="impression", start=at, end=at + 6)
    content = {"findings": (nodule,), "extracted_at": NOW, **result}
    with service.database.writing() as session:
        report, _ = add_report(session, header, digest, at=NOW)
        store_report_result(session, report.id, StructuredReport(**content), at=NOW)
        return report.id


def ct_recommended(days: int = 90) -> Recommendation:
    return Recommendation(
        modality="CT", body_part="chest", interval_days_min=days, interval_days_max=days, start=86, end=110, rule="r"
    )
