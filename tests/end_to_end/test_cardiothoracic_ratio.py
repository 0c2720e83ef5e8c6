"""From the pixels of a film to the score at order time: the cardiothoracic ratio, or none where it is undefined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from fusion.modalities import ImagingInput
from fusion.scores.assessing import assess_scores
from tests.fusion import builders as build
from vision import Analyzer, Radiograph, read_radiograph


@pytest.fixture(scope="module")
def film() -> Radiograph:
    """A PA film of an adult whose detector has pixels of 0.2 mm."""
    found = get_testdata_file("RG1_J2KI.dcm", download=False)
    assert found is not None
    return replace(read_radiograph(Path(found)), view="PA", age_years=64.0, pixel_spacing_mm=(0.2, 0.2))


def scored(film: Radiograph):
    result = Analyzer(threads=1).analyze(film, at=build.AT)
    scores = assess_scores(build.patient(age=64), ImagingInput(result, build.AT, "current", "film/1"), None, build.AT)
    return result, {score.name: score for score in scores}.get("cardiothoracic_ratio")


def test_the_ratio_of_a_film_becomes_the_score_with_its_widths_as_evidence(film) -> None:
    result, score = scored(film)
    ratio = next(m.value for m in result.measurements if m.name == "cardiothoracic_ratio")
    assert score.status == "ok"
    assert score.value == pytest.approx(ratio, abs=0.002)
    assert {used.name for used in score.inputs} == {"cardiac_width_mm", "thoracic_width_mm", "projection", "age"}


def test_an_ap_film_gives_no_score(film) -> None:
    result, score = scored(replace(film, view="AP"))
    assert next(m.reason for m in result.measurements if m.name == "cardiothoracic_ratio").endswith("AP film")
    assert score is None
