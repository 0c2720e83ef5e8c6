"""Films of limbs and breasts: refused while their models are off, with that reason; judged by them when on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from vision import Analyzer, InService, Radiograph, Technique, read_radiograph
from vision.analyze import MODELS
from vision.card import read_card
from vision.subject import subject_of

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
FRACTURE = read_card(MODELS / "fracture")
ON = InService(FRACTURE.id, FRACTURE.sha256)


@pytest.fixture(scope="module")
def tibia(packaged_film) -> Radiograph:
    """The packaged film of a leg, from the front."""
    return read_radiograph(packaged_film("RG3_J2KI.dcm"))


@pytest.fixture(scope="module")
def chest(packaged_film) -> Radiograph:
    return read_radiograph(packaged_film("RG1_J2KI.dcm"))


@pytest.fixture(scope="module")
def off() -> Analyzer:
    return Analyzer(threads=1)


@pytest.fixture(scope="module")
def on() -> Analyzer:
    return Analyzer(threads=1, in_service=[ON])


class TestSubject:
    @pytest.mark.parametrize(
        ("modality", "part", "subject"),
        [
            ("CR", "EXTREMITY", "limb"),
            ("DX", "HAND", "limb"),
            (None, "WRIST", "limb"),
            ("OT", "LEFT KNEE", "limb"),
            ("MG", "BREAST", "breast"),
            ("MG", None, "breast"),
            (None, "BREAST", "breast"),
            ("CR", "CHEST", "chest"),
            ("CR", "SKULL", "chest"),
            ("CR", "CSPINE", "chest"),
            ("CR", None, "chest"),
            ("CT", "KNEE", "chest"),
            ("CR", "CHEST AND SHOULDER", "chest"),
        ],
    )
    def test_modality_and_body_part_of_the_header_decide(self, chest, modality, part, subject):
        assert subject_of(replace(chest, modality=modality, body_part=part), Technique()) == subject

    def test_a_body_part_given_beside_the_film_decides_where_the_header_says_none(self, chest):
        assert subject_of(replace(chest, body_part=None), Technique(body_part="ankle")) == "limb"
        assert subject_of(chest, Technique(body_part="ankle")) == "chest"


class TestOff:
    def test_the_models_ship_off(self, off):
        (row,) = [row for row in off.status() if row["id"] == "vision-fracture"]
        assert row["state"] == "off"
        assert "cds promote" in row["reason"]

    def test_a_limb_film_is_refused_and_told_that_the_model_is_off(self, off, tibia):
        result = off.analyze(tibia, at=AT)
        assert result.rejection.code == "wrong_body_part"
        assert "the fracture model is not in service" in result.rejection.reason
        assert result.findings == ()

    def test_what_no_model_is_for_is_refused_as_before(self, off, tibia):
        skull = off.analyze(replace(tibia, body_part="SKULL"), at=AT)
        assert skull.rejection.reason == "the body part is not the chest"


class TestOn:
    def test_a_limb_film_gets_a_score_a_label_and_a_place(self, on, tibia):
        result = on.analyze(tibia, at=AT)
        assert result.rejection is None
        (finding,) = result.findings
        assert (finding.key, finding.threshold) == ("fracture", FRACTURE.thresholds["fracture"]["value"])
        assert finding.label == (finding.score >= finding.threshold)
        assert [heatmap.finding for heatmap in result.heatmaps] == ["fracture"]
        assert [model.id for model in result.models] == ["gate", "vision-fracture"]
        assert result.measurements == ()
        assert result.view == "AP"

    def test_a_limb_has_the_side_of_its_header_and_no_lung_zone(self, on, tibia):
        for laterality, side in (("L", "left"), ("R", "right"), (None, None)):
            regions = on.analyze(replace(tibia, laterality=laterality), at=AT).regions
            assert {(region.side, region.zone) for region in regions} <= {(side, None)}

    @pytest.mark.parametrize("years", [3, 40, None])
    def test_patients_of_every_age_and_of_none_are_judged(self, on, tibia, years):
        assert on.analyze(replace(tibia, age_years=years), at=AT).findings

    def test_a_chest_film_is_judged_as_before(self, on, off, chest):
        assert on.analyze(chest, at=AT).findings == off.analyze(chest, at=AT).findings

    def test_a_chest_film_that_says_it_is_a_hand_gets_no_number(self, on, chest):
        result = on.analyze(replace(chest, body_part="HAND"), at=AT)
        assert result.rejection.code == "out_of_distribution"
        assert "limb" in result.rejection.reason

    def test_a_limb_film_that_says_nothing_of_itself_is_still_refused(self, on, tibia):
        result = on.analyze(replace(tibia, body_part=None, modality=None), at=AT)
        assert result.rejection.code == "wrong_body_part"

    @pytest.mark.parametrize(
        ("changes", "code"),
        [({"presentation": False}, "raw_detector_data"), ({"pixels": np.zeros((300, 300), np.float32)}, "blank")],
    )
    def test_what_cannot_be_read_by_eye_is_refused(self, on, tibia, changes, code):
        assert on.analyze(replace(tibia, **changes), at=AT).rejection.code == code


class TestOtherWeights:
    def test_weights_the_site_has_not_evaluated_are_refused(self):
        analyzer = Analyzer(threads=1, in_service=[replace(ON, sha256="b" * 64)])
        (row,) = [row for row in analyzer.status() if row["id"] == "vision-fracture"]
        assert row["state"] == "refused"
        assert "promote it again" in row["reason"]

    def test_a_folder_of_the_site_s_own_stands_in_for_the_packaged_one(self, tibia, tmp_path):
        analyzer = Analyzer(threads=1, in_service=[replace(ON, folder=MODELS / "fracture")], models=tmp_path)
        (row,) = [row for row in analyzer.status() if row["id"] == "vision-fracture"]
        assert row["state"] == "served"
