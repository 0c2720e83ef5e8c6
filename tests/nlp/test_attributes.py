"""Side, place, severity, change and size belong to the finding they are said of."""

from __future__ import annotations

from nlp import Extractor
from nlp.result import Mention


def _mention(extractor: Extractor, text: str, finding: str) -> Mention:
    return next(mention for mention in extractor.extract(text).findings if mention.finding == finding)


def test_side_and_severity(extractor: Extractor) -> None:
    mention = _mention(extractor, "Small left pleural effusion.", "pleural_effusion")
    assert (mention.laterality, mention.severity) == ("left", "small")


def test_sides_of_neighbours_stay_apart(extractor: Extractor) -> None:
    text = "Small left pleural effusion and right basilar atelectasis."
    assert _mention(extractor, text, "pleural_effusion").laterality == "left"
    assert _mention(extractor, text, "atelectasis").laterality == "right"


def test_lobe_gives_place_and_side(extractor: Extractor) -> None:
    mention = _mention(extractor, "Nodule in the right upper lobe.", "lung_nodule")
    assert (mention.location, mention.laterality) == ("right upper lobe", "right")


def test_both_sides_named_make_bilateral(extractor: Extractor) -> None:
    assert _mention(extractor, "Left and right pleural effusions.", "pleural_effusion").laterality == "bilateral"


def test_size_in_millimetres(extractor: Extractor) -> None:
    (size,) = _mention(extractor, "A 1.2 x 0.8 cm nodule in the left lung.", "lung_nodule").measurements
    assert size.values_mm == (12.0, 8.0)
    assert not size.prior


def test_size_on_the_prior_examination(extractor: Extractor) -> None:
    sizes = _mention(extractor, "Nodule measures 9 mm, previously 6 mm.", "lung_nodule").measurements
    assert [(size.values_mm, size.prior) for size in sizes] == [((9.0,), False), ((6.0,), True)]


def test_change(extractor: Extractor) -> None:
    assert _mention(extractor, "Unchanged cardiomegaly.", "cardiomegaly").change == "stable"
    assert _mention(extractor, "New left effusion.", "pleural_effusion").change == "new"
    assert _mention(extractor, "Worsening pulmonary edema.", "pulmonary_edema").change == "worse"
    assert _mention(extractor, "Decreased right effusion.", "pleural_effusion").change == "better"
    assert _mention(extractor, "Without change in the left effusion.", "pleural_effusion").change == "stable"
    assert _mention(extractor, "Decrease in size of the right effusion.", "pleural_effusion").change == "better"
    assert _mention(extractor, "Healed left rib fracture.", "rib_fracture").change == "stable"


def test_a_chamber_of_the_heart_gives_no_side(extractor: Extractor) -> None:
    text = "Pacemaker with leads in the right atrium and right ventricle."
    assert _mention(extractor, text, "pacemaker").laterality is None


def test_three_axes_and_three_of_the_prior(extractor: Extractor) -> None:
    text = "2.3 x 1.7 x 1.5 cm mass in the left upper lobe (previously 1.9 x 1.4 cm)."
    sizes = _mention(extractor, text, "lung_mass").measurements
    assert [(size.values_mm, size.prior) for size in sizes] == [((23.0, 17.0, 15.0), False), ((19.0, 14.0), True)]


def test_a_mass_of_the_breast_is_none_of_the_lung(extractor: Extractor) -> None:
    text = "Spiculated 14 mm mass in the upper outer quadrant of the left breast."
    assert _mention(extractor, text, "breast_mass").laterality == "left"


def test_in_a_mammogram_bare_words_are_said_of_the_breast(extractor: Extractor) -> None:
    text = "EXAM: Screening mammogram\nFINDINGS: No suspicious masses or calcifications.\nIMPRESSION: BI-RADS 1."
    found = {mention.finding: mention.assertion for mention in extractor.extract(text).findings}
    assert found == {"breast_mass": "absent", "breast_calcification": "absent"}


def test_what_is_not_all_gone_is_better_and_still_counted(extractor: Extractor) -> None:
    text = "The effusion is not entirely resolved."
    assert _mention(extractor, text, "pleural_effusion").change == "better"
    assert extractor.extract(text).labels["pleural_effusion"] == 1
