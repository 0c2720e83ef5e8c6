"""A structured report as FHIR R4: valid, coded by the table alone, and pointing at its words."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.fhir.report import READING, ReportFrame, diagnostic_report
from cds.site.codes import FINDINGS, LOINC, RADLEX, SNOMED, FindingCodes
from cds.site.configuration import Configs
from nlp import Extractor, Vocabulary

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
FRAME = ReportFrame(issued=AT, patient_id="p1", identifier=("urn:site:reports", "r1"))
TEXT = (
    "INDICATION: family history of lung cancer\n"
    "FINDINGS: 5 x 4 mm nodule in the right upper lobe, previously 3 mm. No effusion. Large left pneumothorax.\n"
    "ETT tip 3 cm above the carina. History of tuberculosis.\n"
    "IMPRESSION: New nodule. Recommend CT chest in 3 to 6 months. Discussed with Dr. Lee by phone at 14:30."
)


@pytest.fixture(scope="module")
def codes() -> FindingCodes:
    return FindingCodes(Configs().findings())


@pytest.fixture(scope="module")
def reader() -> Extractor:
    folder = Configs().packaged / "lexicon"
    documents = {file.name: yaml.safe_load(file.read_text("utf-8")) for file in sorted(folder.glob("*.yaml"))}
    return Extractor(Vocabulary.from_documents(documents))


@pytest.fixture(scope="module")
def resource(reader: Extractor, codes: FindingCodes) -> dict[str, Any]:
    return diagnostic_report(reader.extract(TEXT, at=AT), TEXT, codes, FRAME)


def observations(resource: dict[str, Any], code: str) -> list[dict[str, Any]]:
    return [one for one in resource["contained"] if one["code"]["coding"][-1]["code"] == code]


def component(observation: dict[str, Any], code: str) -> dict[str, Any]:
    return next(one for one in observation["component"] if one["code"]["coding"][0]["code"] == code)


def codings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "system" in value and "code" in value and "unit" not in value:
            yield value
        for inner in value.values():
            yield from codings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from codings(inner)


def test_the_resource_is_valid_r4(resource: dict[str, Any]) -> None:
    parsed = DiagnosticReport.model_validate(resource)
    assert parsed.subject.reference == "Patient/p1"
    assert len(parsed.contained) == len(parsed.result)


def test_a_finding_has_its_assertion_side_size_and_words(resource: dict[str, Any]) -> None:
    nodule = observations(resource, "lung_nodule")[0]
    assert nodule["valueCodeableConcept"]["coding"][0]["code"] == "present"
    assert component(nodule, "laterality")["valueCodeableConcept"]["text"] == "right"
    assert component(nodule, "size")["valueQuantity"] == {
        "value": 5.0, "unit": "mm", "system": "http://unitsofmeasure.org", "code": "mm",
    }  # fmt: skip
    assert component(nodule, "prior_size")["valueQuantity"]["value"] == 3.0
    start, end = component(nodule, "start")["valueInteger"], component(nodule, "end")["valueInteger"]
    assert TEXT[start:end] == component(nodule, "words")["valueString"] == "nodule"


def test_what_is_denied_says_so(resource: dict[str, Any]) -> None:
    assert observations(resource, "pleural_effusion")[0]["valueCodeableConcept"]["coding"][0]["code"] == "absent"


def test_family_and_past_make_no_observation(resource: dict[str, Any]) -> None:
    assert not observations(resource, "lung_cancer")
    assert not observations(resource, "tuberculosis")


def test_next_steps_critical_results_scores_and_communication_are_there(resource: dict[str, Any]) -> None:
    step = observations(resource, "recommendation")[0]
    window = component(step, "interval")["valueRange"]
    assert (window["low"]["value"], window["high"]["value"], window["low"]["code"]) == (90, 180, "d")
    assert component(observations(resource, "critical_result")[0], "urgency")["valueInteger"] == 1
    assert component(observations(resource, "communication")[0], "to")["valueString"] == "Dr. Lee"
    assert observations(resource, "ett_carina_mm")[0]["valueQuantity"]["value"] == 30.0


def test_standard_codes_are_those_of_the_findings_table(resource: dict[str, Any]) -> None:
    table = Configs().findings().values()
    known = {SNOMED: {row.snomed for row in table}, RADLEX: {row.radlex for row in table}, LOINC: {"18748-4"}}
    own = {FINDINGS, READING}
    frame = {
        "http://terminology.hl7.org/CodeSystem/observation-category",
        "http://terminology.hl7.org/CodeSystem/v2-0074",
    }
    for coding in codings(resource):
        if coding["system"] not in own | frame:
            assert coding["code"] in known[coding["system"]]


def test_the_text_goes_along_unchanged(resource: dict[str, Any]) -> None:
    assert base64.b64decode(resource["presentedForm"][0]["data"]).decode() == TEXT
    assert resource["conclusion"].startswith("New nodule.")


def test_a_refused_text_makes_no_resource(reader: Extractor, codes: FindingCodes) -> None:
    with pytest.raises(ValueError, match="empty"):
        diagnostic_report(reader.extract(""), "", codes, FRAME)


PIECES = st.sampled_from(
    ["no", "left", "effusion", "pneumothorax", "FINDINGS:", "IMPRESSION:", "8 mm nodule", "recommend CT in 6 weeks.",
     "\x00", "\ud800", "\n", "\x0b", "<b>", "BI-RADS 4A", "\u2028", "é"]
)  # fmt: skip


@given(st.lists(PIECES, min_size=1, max_size=20).map(" ".join))
@settings(max_examples=60, deadline=None)
def test_any_report_that_is_read_makes_a_valid_resource(reader: Extractor, codes: FindingCodes, text: str) -> None:
    report = reader.extract(text, at=AT)
    if report.refusal is None:
        DiagnosticReport.model_validate(diagnostic_report(report, text, codes, FRAME))
