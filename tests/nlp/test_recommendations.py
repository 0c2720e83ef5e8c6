"""Next steps, critical results, communication and stated scores."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from nlp import Extractor, ReportContext, Vocabulary, VocabularyError

CASES = [
    ("Recommend CT chest for further evaluation.", "CT", "chest", None, None, False),
    ("Follow-up chest radiograph in 6-8 weeks is recommended.", "XR", "chest", 42, 56, False),
    ("Recommend followup in 3 months.", "other", None, 90, 90, False),
    ("Consider CT if symptoms persist.", "CT", None, None, None, True),
    ("Clinical correlation is recommended.", "clinical", None, None, None, False),
    ("Correlate clinically.", "clinical", None, None, None, False),
    ("MRI of the lumbar spine may be helpful.", "MR", "spine", None, None, False),
    ("Annual screening mammogram is recommended.", "MG", "breast", 365, 365, False),
    ("Ultrasound-guided biopsy is recommended.", "biopsy", None, None, None, False),
    ("DXA is suggested.", "DXA", None, None, None, False),
    ("Repeat chest radiograph in 6 to 8 weeks.", "XR", "chest", 42, 56, False),
    ("Suggest CT in approximately 12 weeks, sooner if symptoms worsen.", "CT", None, 84, 84, True),
    ("Routine screening mammography in 1 year.", "MG", "breast", 365, 365, False),
    ("Advance the endotracheal tube 2 cm.", "other", None, None, None, False),
    ("Follow up with oncology is suggested.", "clinical", None, None, None, False),
    ("RECOMMENDATION: Chest CT within 30 days.", "CT", "chest", 30, 30, False),
    ("CXR in 4-6/52 is advised.", "XR", "chest", 28, 42, False),
    ("Suggest follow-up ultrasound next week.", "US", None, 7, 7, False),
    ("Recommend biannual surveillance CT.", "CT", None, 180, 180, False),
    ("Annual low-dose CT screening.", "CT", "chest", 365, 365, False),
    ("Recommend CT within 48 hours.", "CT", None, 2, 2, False),
    ("Please arrange CT thorax.", "CT", "chest", None, None, False),
    ("Suggest respiratory referral.", "clinical", None, None, None, False),
    ("Lesion for discussion at MDT.", "clinical", None, None, None, False),
    ("Follow up CXR after completion of antibiotics.", "XR", "chest", None, None, False),
    ("Correlation with D-dimer.", "lab", None, None, None, False),
    ("Would recommend retracting ETT 2 cm.", "other", None, None, None, False),
]


@pytest.mark.parametrize(("text", "modality", "part", "low", "high", "conditional"), CASES, ids=[c[0] for c in CASES])
def test_recommendation(
    extractor: Extractor,
    text: str,
    modality: str,
    part: str | None,
    low: int | None,
    high: int | None,
    conditional: bool,
) -> None:
    found = extractor.extract(text).recommendations
    first = next(item for item in found if item.modality == modality)
    assert (first.body_part, first.interval_days_min, first.interval_days_max) == (part, low, high)
    assert first.conditional is conditional
    assert text[first.start : first.end].strip()


@pytest.mark.parametrize(
    "text",
    [
        "No further follow-up is needed.",
        "PA and lateral views of the chest were obtained.",
        "Opacities suggest pneumonia.",
        "Compared to CT from last year, the nodule is stable.",
        "A followup radiograph was recommended on the prior study.",
        "The nodule has grown over 6 months on CT.",
        "CT performed in March 2019 showed a nodule.",
        "Comparison is made with the CT of 3/15/2019.",
    ],
)
def test_what_asks_for_nothing(extractor: Extractor, text: str) -> None:
    assert extractor.extract(text).recommendations == ()


REPORTED = date(2020, 2, 1)
DUE = [
    ("Follow-up CT chest by 3/15/2020 is recommended.", None, None, date(2020, 3, 15)),
    ("Follow-up CT before 1 June 2021 is suggested.", None, None, date(2021, 6, 1)),
    ("Recommend CT chest no later than 2020-04-01.", None, None, date(2020, 4, 1)),
    ("Recommend repeat CT in March 2021.", None, date(2021, 3, 1), date(2021, 3, 31)),
    ("Recommend repeat mammogram in September.", REPORTED, date(2020, 9, 1), date(2020, 9, 30)),
    ("Recommend repeat CT in January.", REPORTED, date(2021, 1, 1), date(2021, 1, 31)),
    ("Repeat CT by 15/3/2020.", REPORTED, None, date(2020, 3, 15)),
    ("Recommend CT after March 1st, 2020.", REPORTED, date(2020, 3, 1), None),
    ("Recommend CT in 2 to 3 weeks.", REPORTED, date(2020, 2, 15), date(2020, 2, 22)),
    ("Annual mammogram is recommended.", REPORTED, date(2021, 1, 31), date(2021, 1, 31)),
    ("Compared to the CT on 3/15/2019, follow-up CT in 6 weeks is recommended.", REPORTED, *[date(2020, 3, 14)] * 2),
    ("Recommend CT in 3 months.", None, None, None),
    ("Recommend CT in September.", None, None, None),
    ("Recommend CT by 2/30/2020.", None, None, None),
]


@pytest.mark.parametrize(("text", "reported_on", "first", "last"), DUE, ids=[case[0] for case in DUE])
def test_the_days_it_is_due(
    extractor: Extractor, text: str, reported_on: date | None, first: date | None, last: date | None
) -> None:
    (found,) = extractor.extract(text, ReportContext(reported_on=reported_on)).recommendations
    assert (found.due_from, found.due_until) == (first, last)
    assert text[found.start : found.end].strip()


@pytest.mark.parametrize(("order", "day"), [("month_first", date(2020, 4, 3)), ("day_first", date(2020, 3, 4))])
def test_a_site_says_which_number_of_a_date_is_the_month(
    documents: dict[str, Any], extractor: Extractor, order: str, day: date
) -> None:
    text = "Repeat CT by 4/3/2020."
    site = {"date_orders": [{"id": "site", "order": order}]}
    (found,) = Extractor(Vocabulary.from_documents({**documents, "site.yaml": site})).extract(text).recommendations
    assert found.due_until == day
    (undecided,) = extractor.extract(text, ReportContext(reported_on=REPORTED)).recommendations
    assert (undecided.due_from, undecided.due_until, undecided.interval_days_max) == (None, None, None)
    assert text[undecided.start : undecided.end] == "CT by 4/3/2020"


def test_two_orders_of_dates_are_a_mistake_that_names_the_second(documents: dict[str, Any]) -> None:
    both = [{"id": "here", "order": "month_first"}, {"id": "there", "order": "day_first"}]
    with pytest.raises(VocabularyError, match="there"):
        Vocabulary.from_documents({**documents, "site.yaml": {"date_orders": both}})


def test_a_date_is_counted_in_days_from_the_report(extractor: Extractor) -> None:
    text = "Follow-up CT chest by 3/15/2020 is recommended."
    (found,) = extractor.extract(text, ReportContext(reported_on=REPORTED)).recommendations
    assert (found.interval_days_min, found.interval_days_max) == (0, 43)


@pytest.mark.parametrize(
    ("text", "modality", "days", "source"),
    [
        ("Lung-RADS 3. Follow-up low dose CT is recommended.", "CT", (180, 180), "ACR Lung-RADS 2022"),
        ("Lung-RADS 4A. Recommend follow-up CT.", "CT", (90, 90), "ACR Lung-RADS 2022"),
        ("BI-RADS 3. Short interval follow-up mammogram is recommended.", "MG", (180, 180), "ACR BI-RADS"),
        ("BI-RADS 4B. Biopsy is recommended.", "biopsy", (0, 14), "policy after ACR BI-RADS"),
        ("8 mm nodule. Recommend CT chest.", "CT", (14, 28), None),
        ("Lung-RADS 3. Follow-up CT in 4 months is recommended.", "CT", (None, None), None),
        ("Recommend CT chest.", "CT", (None, None), None),
    ],
)
def test_a_stated_score_or_finding_gives_the_interval_of_its_guideline(
    extractor: Extractor, text: str, modality: str, days: tuple[int | None, int | None], source: str | None
) -> None:
    found = next(item for item in extractor.extract(text).recommendations if item.modality == modality)
    assert (found.guideline_days_min, found.guideline_days_max) == days
    assert source is None or found.guideline == source


def test_the_finding_it_is_for(extractor: Extractor) -> None:
    text = "8 mm nodule in the right upper lobe. Recommend CT chest."
    (found,) = extractor.extract(text).recommendations
    assert found.finding == "lung_nodule"


def test_an_interval_is_offered_where_none_is_given(extractor: Extractor) -> None:
    (found,) = extractor.extract("Right lower lobe pneumonia. Recommend followup radiograph.").recommendations
    assert found.interval_days_min is None
    assert (found.guideline_days_min, found.guideline) == (42, "BTS 2009")


def test_critical_results_carry_their_class(extractor: Extractor) -> None:
    result = extractor.extract("Large right pneumothorax. Free air under the diaphragm. New left effusion.")
    assert [(item.finding, item.urgency) for item in result.critical] == [
        ("pneumothorax", 1),
        ("pneumoperitoneum", 1),
        ("pleural_effusion", 3),
    ]


def test_denied_and_stable_findings_are_not_critical(extractor: Extractor) -> None:
    assert extractor.extract("No pneumothorax. Stable nodule in the left lung.").critical == ()


def test_communication_is_read(extractor: Extractor) -> None:
    text = "Tension pneumothorax. Discussed with Dr. John Smith by telephone at 14:30 on 3/4/2020."
    told = extractor.extract(text).communication
    assert told.documented
    assert (told.to, told.at, told.how) == ("Dr. John Smith", "14:30 on 3/4/2020", "by telephone")


def test_without_communication(extractor: Extractor) -> None:
    assert not extractor.extract("Tension pneumothorax.").communication.documented


@pytest.mark.parametrize(
    ("text", "contrast"),
    [
        ("CT of the chest with intravenous contrast is recommended within 2 weeks.", "with"),
        ("Contrast-enhanced CT of the chest is recommended.", "with"),
        ("Recommend CT chest with and without contrast.", "with"),
        ("Noncontrast CT of the chest is recommended in 3 months.", "without"),
        ("Recommend CT of the chest without contrast.", "without"),
        ("CT of the chest is recommended.", None),
    ],
)
def test_what_is_said_of_contrast_is_kept(extractor: Extractor, text: str, contrast: str | None) -> None:
    (recommendation,) = extractor.extract(f"IMPRESSION: Lung mass. {text}").recommendations
    assert (recommendation.modality, recommendation.contrast) == ("CT", contrast)
