"""Reports that contradict themselves, the patient or the order."""

from __future__ import annotations

import pytest

from nlp import Extractor, ReportContext

CLEAR = "FINDINGS: Heart size is normal. The lungs are clear. No effusion or pneumothorax.\n"
CASES = [
    ("FINDINGS: Left pleural effusion.\nIMPRESSION: Right pleural effusion.", ReportContext(), "laterality"),
    (
        CLEAR + "IMPRESSION: Small pneumothorax.",
        ReportContext(),
        "unsupported_impression",
    ),
    (
        CLEAR + "IMPRESSION: Left rib fracture.",
        ReportContext(),
        "unsupported_impression",
    ),
    ("FINDINGS: The uterus is enlarged.", ReportContext(sex="male"), "sex"),
    ("INDICATION: 67-year-old man.\nFINDINGS: Clear lungs.", ReportContext(sex="female"), "sex"),
    ("INDICATION: 67-year-old.\nFINDINGS: Clear lungs.", ReportContext(age=45), "age"),
    ("FINDINGS: Right wrist fracture.", ReportContext(laterality="left"), "laterality"),
    (
        "EXAM: CT chest without contrast\nFINDINGS: Clear.",
        ReportContext(ordered_exam="CT chest with contrast"),
        "order",
    ),
    ("EXAM: XR abdomen\nFINDINGS: Clear.", ReportContext(ordered_exam="XR chest"), "order"),
    (
        "EXAM: Limited abdominal ultrasound\nFINDINGS: Normal.",
        ReportContext(ordered_exam="Complete abdominal ultrasound"),
        "order",
    ),
]


@pytest.mark.parametrize(("text", "context", "kind"), CASES, ids=[case[2] + ": " + case[0][:30] for case in CASES])
def test_contradictions_are_found_with_their_words(
    extractor: Extractor, text: str, context: ReportContext, kind: str
) -> None:
    (found,) = extractor.extract(text, context).inconsistencies
    assert found.type == kind
    assert all(text[start:end].strip() for start, end in found.spans)


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("FINDINGS: Left effusion.\nIMPRESSION: Left effusion.", ReportContext(sex="female", age=60)),
        ("FINDINGS: Bilateral effusions.\nIMPRESSION: Left effusion larger than right.", ReportContext()),
        ("FINDINGS: Right base opacity.\nIMPRESSION: Right lower lobe pneumonia.", ReportContext()),
        ("EXAM: CT chest with contrast\nFINDINGS: Clear.", ReportContext(ordered_exam="CT chest with contrast")),
        ("INDICATION: 45-year-old woman.\nFINDINGS: Clear.", ReportContext(age=45, sex="female")),
    ],
)
def test_consistent_reports_raise_nothing(extractor: Extractor, text: str, context: ReportContext) -> None:
    assert extractor.extract(text, context).inconsistencies == ()
