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
    (
        "FINDINGS: Consolidation in the right lower lobe. Heart is normal. No effusion is seen.\n"
        "IMPRESSION: Left lower lobe pneumonia.",
        ReportContext(),
        "laterality",
    ),
    ("EXAM: Right knee radiographs\nFINDINGS: Left knee joint effusion.", ReportContext(), "laterality"),
    ("EXAM: Right knee\nFINDINGS: Left joint effusion.", ReportContext(ordered_exam="XR right knee"), "laterality"),
    (
        "FINDINGS: Large right effusion with basal opacity, and the heart is normal in size.\nIMPRESSION: No effusion.",
        ReportContext(),
        "unsupported_impression",
    ),
    (
        "FINDINGS: There is pneumothorax. The heart is normal in size.\nIMPRESSION: No acute cardiopulmonary disease.",
        ReportContext(),
        "unsupported_impression",
    ),
    (CLEAR + "IMPRESSION: Right lower lobe pneumonia.", ReportContext(), "unsupported_impression"),
    (CLEAR + "IMPRESSION: Moderate cardiomegaly.", ReportContext(), "unsupported_impression"),
    ("FINDINGS: 67-year-old woman after prostatectomy.", ReportContext(), "sex"),
    ("INDICATION: 34F with cough\nFINDINGS: Clear lungs.", ReportContext(sex="male"), "sex"),
    ("INDICATION: 34 yo with cough\nFINDINGS: Clear lungs.", ReportContext(age=70), "age"),
    ("INDICATION: 3-month-old with cough\nFINDINGS: Clear lungs.", ReportContext(age=45), "age"),
    ("FINDINGS: Growth plates are open.", ReportContext(age=45), "age"),
    (
        "TECHNIQUE: CT after IV contrast.\nFINDINGS: Clear.",
        ReportContext(ordered_exam="CT chest w/o contrast"),
        "order",
    ),
    ("EXAM: CT chest without contrast\nTECHNIQUE: Following IV contrast.\nFINDINGS: Clear.", ReportContext(), "order"),
    (
        "TECHNIQUE: Single AP portable view of the chest.\nFINDINGS: Clear.",
        ReportContext(ordered_exam="XR chest PA and lateral"),
        "order",
    ),
    (CLEAR, ReportContext(ordered_exam="XR knee"), "order"),
    (
        CLEAR + " No displaced rib fracture.\nIMPRESSION: Displaced left rib fracture.",
        ReportContext(),
        "unsupported_impression",
    ),
    (
        "FINDINGS: Heart normal. No consolidation and no suspicious opacity. No effusion.\nIMPRESSION: Pneumonia.",
        ReportContext(),
        "unsupported_impression",
    ),
    (
        "FINDINGS: Left upper lobe opacity. Bibasilar atelectasis.\nIMPRESSION: Right upper lobe opacity.",
        ReportContext(),
        "laterality",
    ),
    ("INDICATION: Patient fell at her home.\nFINDINGS: Clear.", ReportContext(sex="male"), "sex"),
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
        (
            "FINDINGS: No large effusion. The heart is normal, and lungs are full.\nIMPRESSION: Tiny left effusion.",
            ReportContext(),
        ),
        (CLEAR + "IMPRESSION: Stable cardiomegaly.", ReportContext()),
        (CLEAR + " No displaced rib fracture.\nIMPRESSION: Nondisplaced left rib fracture.", ReportContext()),
        (
            "FINDINGS: Opacity of the left apex, scar of the right upper lobe.\nIMPRESSION: Right upper opacity.",
            ReportContext(),
        ),
        ("FINDINGS: Left apical opacity. Right apical scar.\nIMPRESSION: Right upper lobe opacity.", ReportContext()),
        (
            "INDICATION: 40-year-old man, his wife says she heard him cough.\nFINDINGS: Clear.",
            ReportContext(sex="male"),
        ),
        (CLEAR + "IMPRESSION: Borderline enlarged heart.", ReportContext()),
        (CLEAR + "IMPRESSION: Clear lungs, XXXX pleural effusion.", ReportContext()),
        ("INDICATION: his/her cough, fracture at age 12\nFINDINGS: Clear.", ReportContext(age=50)),
        ("COMPARISON: 6 month old study\nFINDINGS: Clear.", ReportContext(age=50)),
        (
            "FINDINGS: Right effusion. The lungs expand well, the heart is normal.\nIMPRESSION: No new effusion.",
            ReportContext(),
        ),
        ("INDICATION: before surgery of the left hip\nFINDINGS: Right effusion.", ReportContext()),
        (
            "EXAM: CT chest with and without contrast\nFINDINGS: Clear.",
            ReportContext(ordered_exam="CT chest with contrast"),
        ),
        (CLEAR, ReportContext(ordered_exam="Chest radiograph, 2 views", age=50, sex="female")),
    ],
)
def test_consistent_reports_raise_nothing(extractor: Extractor, text: str, context: ReportContext) -> None:
    assert extractor.extract(text, context).inconsistencies == ()


@pytest.mark.parametrize(
    ("text", "ordered", "modality"),
    [
        ("EXAM: CT chest with contrast\nFINDINGS: 7 mm nodule.", None, "CT"),
        ("CT CHEST WITHOUT CONTRAST\n\nFINDINGS: 7 mm nodule.", None, "CT"),
        ("TECHNIQUE: Two views of the chest.\nFINDINGS: Clear.", None, "XR"),
        ("EXAM: CT chest\nFINDINGS: Clear.", "Chest radiograph", "CT"),
        ("FINDINGS: Clear.", "CT chest with contrast", "CT"),
        ("FINDINGS: Nodule as on the CT of May.", None, None),
        ("EXAM: PET/CT\nFINDINGS: Clear.", None, None),
    ],
)
def test_what_was_examined_is_read_from_title_or_technique_else_from_the_order(
    extractor: Extractor, text: str, ordered: str | None, modality: str | None
) -> None:
    assert extractor.extract(text, ReportContext(ordered_exam=ordered)).modality == modality
