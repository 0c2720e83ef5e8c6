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
