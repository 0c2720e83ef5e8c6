"""StructuredReport -> FHIR R4 DiagnosticReport that contains its Observations, strict on the way out.

Findings have the codes of `configs/findings.csv`, and the key in the project's CodeSystem; everything
else that the reader says (assertion, side, change, next steps) has codes of the project alone. Knows no
store and no web.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cds.site.codes import LOINC, FindingCodes
from nlp import StructuredReport
from nlp.result import Mention, Recommendation

READING = "urn:oid:2.25.155652320498352379898692736942269517243"
"""CodeSystem of what a report reader says beside the finding: items, assertions, sides, severities, changes."""
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
_UCUM = "http://unitsofmeasure.org"
_ABOUT_THE_PATIENT_NOW = frozenset({"present", "possible", "absent"})
_NOT_FHIR = re.compile(r"[^\S \r\n\t]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_Json = dict[str, Any]


@dataclass(frozen=True)
class ReportFrame:
    """What a report says of whom and when, beside its text.

    subject     of whom, as a FHIR Reference, where it is not simply Patient/`patient_id`
    identifier  (system, value) of the report at its source
    """

    issued: datetime
    patient_id: str | None = None
    subject: Mapping[str, Any] | None = None
    status: Literal["preliminary", "final", "amended", "corrected"] = "final"
    identifier: tuple[str, str] | None = None


def diagnostic_report(report: StructuredReport, text: str, codes: FindingCodes, frame: ReportFrame) -> _Json:
    """Return a DiagnosticReport with one contained Observation per thing read in `text`.

    The report has the status that its author gave it; the Observations are preliminary, because a program read them.
    What concerns the family, the past or a condition is left out: an Observation is about the patient now.
    Raises ValueError for a refused report, of which nothing was read.
    """
    if report.refusal is not None:
        raise ValueError(f"nothing was read: {report.refusal}")
    named = {"reference": f"Patient/{frame.patient_id}"} if frame.patient_id else None
    subject = dict(frame.subject) if frame.subject is not None else named
    common = {
        "status": "preliminary",
        "category": [_concept(_CATEGORY, "imaging", "Imaging")],
        "subject": subject,
        "issued": frame.issued.isoformat(),
    }
    observations = [
        _without_none({"resourceType": "Observation", "id": f"o{number}", **common, **content})
        for number, content in enumerate(_contents(report, text, codes), 1)
    ]
    present = [codes.concept(key) for key, verdict in sorted(report.labels.items()) if verdict == 1]
    return _without_none(
        {
            "resourceType": "DiagnosticReport",
            "contained": observations or None,
            "identifier": [dict(zip(("system", "value"), frame.identifier, strict=True))] if frame.identifier else None,
            "status": frame.status,
            "category": [_concept(_SECTION, "RAD", "Radiology")],
            "code": _concept(LOINC, "18748-4", "Diagnostic imaging report"),
            "subject": subject,
            "issued": frame.issued.isoformat(),
            "result": [{"reference": f"#{one['id']}"} for one in observations] or None,
            "conclusion": _conclusion(report, text),
            "conclusionCode": present or None,
            "presentedForm": [{"contentType": "text/plain; charset=utf-8", "data": _base64(text)}],
        }
    )


def _contents(report: StructuredReport, text: str, codes: FindingCodes) -> Iterator[_Json]:
    for mention in report.findings:
        if mention.assertion in _ABOUT_THE_PATIENT_NOW:
            yield _finding(mention, text, codes)
    for step in report.recommendations:
        yield _recommendation(step, text, codes)
    for result in report.critical:
        components = [_component("finding", valueCodeableConcept=codes.concept(result.finding))]
        components.append(_component("urgency", valueInteger=result.urgency))
        yield _item("critical_result", text, result.start, result.end, components)
    told = report.communication
    if told.documented and told.start is not None and told.end is not None:
        said = {"to": told.to, "at": told.at, "how": told.how}
        components = [_component(name, valueString=_clean(value)) for name, value in said.items() if value]
        yield _item("communication", text, told.start, told.end, components)
    for name, value in report.scores.items():
        yield {"code": _reading(name), **_value(name, value)}


def _finding(mention: Mention, text: str, codes: FindingCodes) -> _Json:
    named = {"laterality": mention.laterality, "severity": mention.severity, "change": mention.change}
    components = [
        _component(name, valueCodeableConcept=_reading(value)) for name, value in named.items() if value is not None
    ]
    components += [
        _component("prior_size" if size.prior else "size", valueQuantity=_millimetres(axis))
        for size in mention.measurements
        for axis in size.values_mm
    ]
    components += _words(text, mention.start, mention.end)
    return {
        "code": codes.concept(mention.finding),
        "valueCodeableConcept": _reading(mention.assertion),
        "bodySite": {"text": mention.location} if mention.location else None,
        "component": components,
    }


def _recommendation(step: Recommendation, text: str, codes: FindingCodes) -> _Json:
    components = [_component("modality", valueCodeableConcept=_reading(step.modality))]
    if step.body_part:
        components.append(_component("body_part", valueString=step.body_part))
    limits = {"low": step.interval_days_min, "high": step.interval_days_max}
    if any(days is not None for days in limits.values()):
        window = {end: _quantity(days, "d") for end, days in limits.items() if days is not None}
        components.append(_component("interval", valueRange=window))
    if step.due_from or step.due_until:
        days = {"start": step.due_from, "end": step.due_until}
        components.append(_component("due", valuePeriod={end: day.isoformat() for end, day in days.items() if day}))
    components.append(_component("conditional", valueBoolean=step.conditional))
    if step.finding:
        components.append(_component("finding", valueCodeableConcept=codes.concept(step.finding)))
    return _item("recommendation", text, step.start, step.end, components)


def _item(code: str, text: str, start: int, end: int, components: list[_Json]) -> _Json:
    return {"code": _reading(code), "component": [*components, *_words(text, start, end)]}


def _words(text: str, start: int, end: int) -> list[_Json]:
    """The words that a value rests on, and where they stand in the text."""
    words = _clean(text[start:end])
    offsets = [_component("start", valueInteger=start), _component("end", valueInteger=end)]
    return [_component("words", valueString=words), *offsets] if words else offsets


def _value(name: str, value: object) -> _Json:
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if name.endswith("_mm") and isinstance(value, int | float):
        return {"valueQuantity": _millimetres(float(value))}
    return {"valueInteger": value} if isinstance(value, int) else {"valueString": str(value)}


def _conclusion(report: StructuredReport, text: str) -> str | None:
    parts = [_clean(text[one.start : one.end]) for one in report.sections if one.name == "impression"]
    return "\n".join(part for part in parts if part) or None


def _component(code: str, **value: Any) -> _Json:
    return {"code": _reading(code), **value}


def _reading(code: str) -> _Json:
    return _concept(READING, code, code.replace("_", " "))


def _concept(system: str, code: str, display: str) -> _Json:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _millimetres(value: float) -> _Json:
    return _quantity(value, "mm")


def _quantity(value: float, unit: str) -> _Json:
    return {"value": value, "unit": unit, "system": _UCUM, "code": unit}


def _clean(words: str) -> str:
    """Words without characters that FHIR strings may not hold."""
    return _NOT_FHIR.sub(" ", words).strip()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")


def _without_none(elements: Mapping[str, Any]) -> _Json:
    return {name: value for name, value in elements.items() if value is not None}
