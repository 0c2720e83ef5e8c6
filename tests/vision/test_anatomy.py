"""Lungs and heart: which side is whose, what cannot be lungs, what is measured and what is said where it cannot be."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest
import yaml

from vision import Analyzer, Radiograph, Technique, masks_png, read_radiograph
from vision.analyze import MODELS
from vision.anatomy import Anatomy, AnatomyModel, anatomy_of, label_map
from vision.errors import ModelVerificationError
from vision.measure_anatomy import measurements_of
from vision.result import ImagingResult, ModelRef
from vision.zones import Lungs, shares_marked

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
REF = ModelRef(id="vision-anatomy", version="1", sha256="0" * 64)
SIDE = 96


def ellipse(x: float, y: float, wide: float, high: float) -> np.ndarray:
    places = (np.arange(SIDE) + 0.5) / SIDE
    return ((places[None] - x) / wide) ** 2 + ((places[:, None] - y) / high) ** 2 < 1


def shares(*shapes: np.ndarray) -> np.ndarray:
    """Shares of a network that is sure of its shapes: lung on the left, lung on the right, heart."""
    classes = np.full((4, SIDE, SIDE), 0.01, np.float32)
    taken = np.zeros((SIDE, SIDE), int)
    for label, shape in enumerate(shapes, start=1):
        taken[shape & (taken == 0)] = label
    np.put_along_axis(classes, taken[None], 0.97, axis=0)
    return classes


LEFT, RIGHT, HEART = ellipse(0.28, 0.45, 0.14, 0.3), ellipse(0.72, 0.45, 0.14, 0.3), ellipse(0.53, 0.6, 0.16, 0.14)
CHEST = shares(LEFT, RIGHT, HEART)


def film(**changes) -> Radiograph:
    fields = {
        "pixels": np.zeros((8, 8), np.float32),
        "sha256": "f" * 64,
        "rows": 1000,
        "columns": 1000,
        "bits": 12,
        "has_metadata": True,
    }
    return Radiograph(**{**fields, **changes})


def measured(anatomy: Anatomy, *, view="PA", population="adult", opacity=None, **changes):
    return {m.name: m for m in measurements_of(anatomy, film(**changes), view, population, opacity)}


class TestShapes:
    def test_the_lung_on_the_left_of_the_picture_is_the_patients_right(self) -> None:
        outlines = anatomy_of(CHEST).outlines
        assert set(outlines) == {"right_lung", "left_lung", "heart"}
        assert max(x for x, _ in outlines["right_lung"][0]) < min(x for x, _ in outlines["left_lung"][0])

    def test_a_mirrored_film_that_says_so_has_its_lungs_named_by_the_patient(self) -> None:
        outlines = anatomy_of(CHEST, ("R", "F")).outlines
        assert min(x for x, _ in outlines["right_lung"][0]) > max(x for x, _ in outlines["left_lung"][0])

    def test_columns_that_run_to_neither_side_give_no_lungs(self) -> None:
        anatomy = anatomy_of(CHEST, ("A", "F"))
        assert anatomy.outlines == {}
        assert "neither to the patient's left nor to the right" in anatomy.doubt

    @pytest.mark.parametrize(
        ("shapes", "doubt"),
        [
            ((LEFT,), "no two lungs"),
            ((HEART & False, HEART & False, HEART), "no two lungs"),
            ((ellipse(0.3, 0.5, 0.03, 0.03), ellipse(0.7, 0.5, 0.03, 0.03)), "size of lungs"),
            ((LEFT, ellipse(0.7, 0.5, 0.05, 0.1)), "size of lungs"),
            ((ellipse(0.5, 0.25, 0.3, 0.2), ellipse(0.5, 0.75, 0.3, 0.2)), "side by side"),
        ],
    )
    def test_what_cannot_be_lungs_is_refused_with_the_reason(self, shapes, doubt) -> None:
        anatomy = anatomy_of(shares(*shapes))
        assert anatomy.outlines == {}
        assert doubt in anatomy.doubt
        assert anatomy.lung_box() is None

    def test_a_lung_that_runs_into_the_edge_is_cut_off(self) -> None:
        assert not anatomy_of(CHEST).cut_off
        assert anatomy_of(shares(ellipse(0.1, 0.45, 0.14, 0.3), RIGHT, HEART)).cut_off

    def test_the_box_holds_both_lungs_and_a_margin(self) -> None:
        box = anatomy_of(CHEST).lung_box(margin=0.05)
        assert (box.x0, box.x1) == (pytest.approx(0.09, abs=0.01), pytest.approx(0.91, abs=0.01))
        assert (box.y0, box.y1) == (pytest.approx(0.10, abs=0.01), pytest.approx(0.80, abs=0.01))
        assert anatomy_of(CHEST).lung_box(margin=0.5).x0 == 0


class TestLabelMap:
    def test_masks_come_back_on_any_grid_with_the_values_of_jsrt(self) -> None:
        masks = anatomy_of(CHEST).masks(REF)
        labels = label_map(masks, 300, 500)
        for value, shape in ((1, LEFT), (2, RIGHT), (3, HEART & ~LEFT & ~RIGHT)):
            truth = cv2.resize(shape.astype(np.uint8), (500, 300), interpolation=cv2.INTER_NEAREST) == 1
            found = labels == value
            assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.98

    def test_the_picture_is_the_map(self) -> None:
        masks = anatomy_of(CHEST).masks(REF)
        picture = cv2.imdecode(np.frombuffer(masks_png(masks, 120, 90), np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(picture, label_map(masks, 120, 90))


class TestZones:
    @pytest.mark.parametrize(
        ("x", "y", "name"),
        [
            (0.28, 0.2, ("right", "upper")),
            (0.28, 0.45, ("right", "middle")),
            (0.72, 0.7, ("left", "lower")),
            (0.5, 0.3, ("midline", "upper")),
            (0.97, 0.6, ("left", "lower")),
            (0.03, 0.02, ("right", "upper")),
        ],
    )
    def test_a_spot_is_named_by_the_lung_and_the_third_it_lies_in(self, x, y, name) -> None:
        lungs = Lungs.of(anatomy_of(CHEST), SIDE)
        assert lungs.name_of(ellipse(x, y, 0.03, 0.03), x, y) == name

    def test_the_zones_share_out_both_lungs(self) -> None:
        lungs = Lungs.of(anatomy_of(CHEST), SIDE)
        together = sum(places.astype(int) for _, _, places in lungs.zones())
        assert np.array_equal(together, sum(lung.astype(int) for lung in lungs.inside.values()))

    def test_a_marked_half_of_the_film_marks_one_lung(self) -> None:
        lungs = Lungs.of(anatomy_of(CHEST), SIDE)
        marked = np.where(np.arange(14) < 7, 1, -1).astype(np.float32)[None].repeat(14, 0)
        found = shares_marked(lungs, marked)
        assert {found[("right", zone)] for zone in ("upper", "middle", "lower")} == {1.0}
        assert {found[("left", zone)] for zone in ("upper", "middle", "lower")} == {0.0}

    def test_without_lungs_there_are_no_zones(self) -> None:
        assert Lungs.of(Anatomy({}, "no two lungs were found"), SIDE) is None


class TestMeasurements:
    def test_the_ratio_is_the_width_of_the_heart_over_that_of_both_lungs(self) -> None:
        assert measured(anatomy_of(CHEST))["cardiothoracic_ratio"].value == pytest.approx(0.18 / 0.72, abs=0.15)
        apart = shares(LEFT, RIGHT, ellipse(0.5, 0.6, 0.07, 0.1))
        assert measured(anatomy_of(apart))["cardiothoracic_ratio"].value == pytest.approx(0.14 / 0.72, abs=0.01)

    @pytest.mark.parametrize(
        ("anatomy", "changes", "reason"),
        [
            (anatomy_of(CHEST), {"view": "AP"}, "AP film"),
            (anatomy_of(CHEST), {"view": "unknown"}, "the view is not known"),
            (anatomy_of(CHEST), {"population": "paediatric"}, "not an adult"),
            (anatomy_of(CHEST), {"population": "unknown"}, "the age is not known"),
            (anatomy_of(CHEST), {"upright": False}, "the patient was not upright"),
            (anatomy_of(shares(LEFT, RIGHT)), {}, "heart border not found"),
            (anatomy_of(shares(ellipse(0.1, 0.45, 0.14, 0.3), RIGHT, HEART)), {}, "lungs cut off"),
            (Anatomy({}, "no two lungs were found"), {}, "no two lungs were found"),
        ],
    )
    def test_where_it_is_not_defined_there_is_no_ratio_and_the_reason(self, anatomy, changes, reason) -> None:
        ratio = measured(anatomy, **changes)["cardiothoracic_ratio"]
        assert (ratio.value, ratio.reason) == (None, f"not assessable: {reason}")

    def test_widths_are_in_millimetres_where_the_size_of_a_pixel_is_known(self) -> None:
        apart = anatomy_of(shares(LEFT, RIGHT, ellipse(0.5, 0.6, 0.07, 0.1)))
        assert "cardiac_width" not in measured(apart)
        known = measured(apart, pixel_spacing_mm=(0.3, 0.4))
        assert known["cardiac_width"].value == pytest.approx(0.14 * 1000 * 0.4, rel=0.06)
        assert known["thoracic_width"].value == pytest.approx(0.72 * 1000 * 0.4, rel=0.03)

    def test_the_area_of_the_lungs_is_a_share_of_the_film(self) -> None:
        area = measured(anatomy_of(CHEST))["lung_area"]
        assert (area.value, area.unit) == (pytest.approx(2 * np.pi * 0.14 * 0.3, rel=0.05), "1")

    def test_opacity_by_zone_is_said_only_where_opacity_was_assessed(self) -> None:
        assert not any(name.startswith("opacity") for name in measured(anatomy_of(CHEST)))
        marked = measured(anatomy_of(CHEST), opacity=np.full((7, 7), 0.1, np.float32))
        assert [marked[f"opacity_{s}_{z}"].value for s in ("right", "left") for z in ("upper", "lower")] == [1.0] * 4


@pytest.fixture(scope="module")
def folder():
    return MODELS / "anatomy"


@pytest.fixture(scope="module")
def chest(packaged_film) -> Radiograph:
    return read_radiograph(packaged_film("RG1_J2KI.dcm"))


class TestModel:
    def test_other_golden_shares_are_refused(self, folder, tmp_path) -> None:
        copy = shutil.copytree(folder, tmp_path / "anatomy")
        card = yaml.safe_load((copy / "model.yaml").read_text("utf-8"))
        card["golden"]["shares"][1][5] += 0.05
        (copy / "model.yaml").write_text(yaml.safe_dump(card), "utf-8")
        with pytest.raises(ModelVerificationError, match="not outlined as the card has it"):
            AnatomyModel.load(copy, threads=1)

    def test_other_weights_are_refused(self, folder, tmp_path) -> None:
        copy = shutil.copytree(folder, tmp_path / "anatomy")
        weights = bytearray((copy / "model.bin").read_bytes())
        weights[1000] ^= 1
        (copy / "model.bin").write_bytes(weights)
        with pytest.raises(ModelVerificationError, match="sha256"):
            AnatomyModel.load(copy, threads=1)

    def test_a_mirrored_film_is_outlined_mirrored(self, folder, chest) -> None:
        model = AnatomyModel.load(folder, threads=1)
        plain = label_map(model.anatomy(chest.pixels).masks(REF), 256, 256)
        turned = label_map(model.anatomy(chest.pixels[:, ::-1].copy(), ("R", "F")).masks(REF), 256, 256)[:, ::-1]
        for value, least in ((1, 0.98), (2, 0.98), (3, 0.85)):  # the heart has no visible border above and below
            found, other = plain == value, turned == value
            assert 2 * (found & other).sum() / (found.sum() + other.sum()) > least
            edges = [np.flatnonzero(seen.any(0))[[0, -1]] for seen in (found, other)]
            assert np.abs(edges[0] - edges[1]).max() <= 0.015 * 256, "widths, which the ratio is of, agree"


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer(threads=1)


class TestResult:
    def test_an_adults_film_has_masks_measures_and_named_regions(self, analyzer, chest) -> None:
        result = analyzer.analyze(replace(chest, view="PA", age_years=64.0), at=AT)
        assert [mask.structure for mask in result.masks] == ["right_lung", "left_lung", "heart"]
        assert {mask.model.id for mask in result.masks} == {"vision-anatomy"}
        ratio = next(m for m in result.measurements if m.name == "cardiothoracic_ratio")
        assert 0.35 < ratio.value < 0.65
        assert result.quality["lungs_cut_off"] in (True, False)
        assert (result.rows, result.columns) == (chest.rows, chest.columns)
        assert ImagingResult.model_validate_json(result.model_dump_json()) == result

    def test_a_child_gets_no_masks_and_the_reason(self, analyzer, chest) -> None:
        result = analyzer.analyze(replace(chest, age_years=4.0), at=AT)
        assert result.masks == ()
        (ratio,) = result.measurements
        assert "18 and older" in ratio.reason

    def test_a_refused_film_has_neither_masks_nor_measures(self, analyzer, packaged_film) -> None:
        result = analyzer.analyze(read_radiograph(packaged_film("RG3_J2KI.dcm")), Technique(), at=AT)
        assert (result.masks, result.measurements) == ((), ())


@pytest.mark.shared_data
def test_unseen_films_of_both_hospitals_are_outlined_as_readers_do(shared_data, folder) -> None:
    from vision.evaluation.anatomy import unseen_figures
    from vision.evaluation.outlines import outlined_films

    model = AnatomyModel.load(folder, threads=1)
    films = outlined_films(shared_data)
    chosen = np.zeros(len(films.groups), bool)
    chosen[[*range(0, 124, 12), *range(124, 674, 60)]] = True
    films = films.of(chosen)
    figures = unseen_figures(model, films)
    assert figures["jsrt"]["dice_lungs"]["value"] > 0.95
    assert figures["jsrt"]["dice_heart"]["value"] > 0.9
    assert figures["jsrt"]["cardiothoracic_ratio"]["absolute_error"]["value"] < 0.03
    assert figures["shenzhen"]["dice_lungs"]["value"] > 0.92
    assert figures["jsrt"]["refused"] == figures["shenzhen"]["refused"] == 0
