"""What the text says of a finding: negation, doubt, past, condition, family."""

from __future__ import annotations

import pytest

from nlp import Extractor

CASES = [
    ("There is a pleural effusion.", "pleural_effusion", "present"),
    ("No pleural effusion.", "pleural_effusion", "absent"),
    ("No effusion or pneumothorax.", "pneumothorax", "absent"),
    ("No focal consolidation, effusion, or pneumothorax is seen.", "pneumothorax", "absent"),
    ("Pneumothorax is not seen.", "pneumothorax", "absent"),
    ("Negative for pneumothorax.", "pneumothorax", "absent"),
    ("The previously seen pneumothorax has resolved.", "pneumothorax", "absent"),
    ("Interval resolution of the left effusion.", "pleural_effusion", "absent"),
    ("No effusion, but there is a small pneumothorax.", "pneumothorax", "present"),
    ("No pneumothorax. Small effusion.", "pleural_effusion", "present"),
    ("He denies fever, he has a right effusion.", "pleural_effusion", "present"),
    ("No pneumothorax after the chest tube.", "chest_tube", "present"),
    ("No change in the left pleural effusion.", "pleural_effusion", "present"),
    ("No significant interval change in cardiomegaly.", "cardiomegaly", "present"),
    ("Unchanged small effusion.", "pleural_effusion", "present"),
    ("Pneumonia cannot be excluded.", "pneumonia", "possible"),
    ("Cannot exclude a small effusion.", "pleural_effusion", "possible"),
    ("A small effusion is not excluded.", "pleural_effusion", "possible"),
    ("Opacity which may represent pneumonia.", "pneumonia", "possible"),
    ("Probable atelectasis at the left base.", "atelectasis", "possible"),
    ("A 9 mm pulmonary nodule, not seen on prior exams.", "lung_nodule", "present"),
    ("History of pneumonia.", "pneumonia", "historical"),
    ("INDICATION: Rule out pneumonia.", "pneumonia", "hypothetical"),
    ("Family history of lung cancer.", "lung_cancer", "family"),
    ("The heart is mildly enlarged.", "cardiomegaly", "present"),
    ("The heart is not enlarged.", "cardiomegaly", "absent"),
    ("Heart size is normal.", "cardiomegaly", "absent"),
    ("NO EVIDENCE OF PNEUMOTHORAX.", "pneumothorax", "absent"),
    ("There is no\npleural effusion.", "pleural_effusion", "absent"),
    ("Not without evidence of effusion.", "pleural_effusion", "present"),
    ("PICC line has been removed.", "picc", "absent"),
    ("If there is concern for pneumothorax, obtain expiratory views.", "pneumothorax", "hypothetical"),
    ("Neither pneumothorax nor effusion is identified.", "pleural_effusion", "absent"),
    ("Pneumothorax: none.", "pneumothorax", "absent"),
    ("No new pulmonary nodules.", "lung_nodule", "absent"),
    ("The previously described nodule is no longer seen.", "lung_nodule", "absent"),
]


@pytest.mark.parametrize(("text", "finding", "assertion"), CASES, ids=[case[0] for case in CASES])
def test_assertion(extractor: Extractor, text: str, finding: str, assertion: str) -> None:
    said = [mention.assertion for mention in extractor.extract(text).findings if mention.finding == finding]
    assert said == [assertion]


def test_a_doubt_that_interprets_leaves_the_label_undetermined(extractor: Extractor) -> None:
    assert extractor.extract("Opacity may represent pneumonia.").labels["pneumonia"] == -1


def test_a_likely_finding_is_labelled_present(extractor: Extractor) -> None:
    assert extractor.extract("Probable small pleural effusion.").labels["pleural_effusion"] == 1


def test_a_finding_not_mentioned_is_labelled_absent(extractor: Extractor) -> None:
    assert extractor.extract("Small effusion.").labels["pneumothorax"] == 0


def test_the_indication_never_makes_a_label(extractor: Extractor) -> None:
    result = extractor.extract("INDICATION: pneumonia\nFINDINGS: The lungs are clear.")
    assert result.labels["pneumonia"] == 0
    assert result.normal


def test_a_report_without_abnormality_is_normal(extractor: Extractor) -> None:
    assert extractor.extract("Heart size normal. Lungs are clear. No effusion or pneumothorax.").normal


def test_a_report_with_a_finding_is_not_normal(extractor: Extractor) -> None:
    assert not extractor.extract("Heart size normal. Small left effusion.").normal


def test_silhouette_and_heart_are_told_apart(extractor: Extractor) -> None:
    result = extractor.extract("Enlarged cardiac silhouette.")
    assert [mention.finding for mention in result.findings] == ["enlarged_cardiac_silhouette"]


def test_every_mention_names_the_rule_that_fired(extractor: Extractor) -> None:
    (mention,) = extractor.extract("No pneumothorax.").findings
    assert mention.rule == "pneumothorax+denied_before"


def test_assertion_of_any_words(extractor: Extractor) -> None:
    text = "She denies any cough."
    assert extractor.assertion_of(text, text.index("cough"), len(text) - 1) == "absent"
