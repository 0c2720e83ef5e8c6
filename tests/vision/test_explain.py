"""Where a finding rests: heatmaps, regions, the patient's side and the zone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vision.explain import heatmap, regions, side_of, zone_of

LEFT_HUNG = ("L", "F")
RIGHT_HUNG = ("R", "F")


def spot(row: int, column: int, side: int = 7) -> np.ndarray:
    logits = np.full((side, side), -4, np.float32)
    logits[row, column] = 4
    return logits


def test_a_spot_becomes_one_region_around_it():
    (region,) = regions("lung_mass", spot(3, 1))
    assert region.box.x0 < 1.5 / 7 < region.box.x1
    assert region.box.y0 < 3.5 / 7 < region.box.y1
    assert (region.finding, region.zone) == ("lung_mass", "middle")
    assert region.score > 0.9


def test_two_spots_become_two_regions_the_stronger_first():
    logits = spot(1, 1)
    logits[5, 5] = 2.5
    first, second = regions("lung_opacity", logits)
    assert first.score > second.score
    assert (first.zone, second.zone) == ("upper", "lower")


def test_the_left_of_the_film_is_the_patients_right_as_films_are_hung():
    assert regions("x", spot(3, 1))[0].side == "right"
    assert regions("x", spot(3, 1), LEFT_HUNG)[0].side == "right"


def test_a_film_hung_the_other_way_by_its_header_has_its_sides_the_other_way():
    assert regions("x", spot(3, 1), RIGHT_HUNG)[0].side == "left"


def test_a_film_that_runs_neither_way_has_no_sides():
    assert regions("x", spot(3, 1), ("F", "L"))[0].side is None


def test_the_middle_belongs_to_no_side():
    assert side_of(0.5) == "midline"


def test_zones_go_down_the_film():
    assert [zone_of(y) for y in (0.1, 0.5, 0.9, 1.0)] == ["upper", "middle", "lower", "lower"]


def test_a_map_without_a_peak_has_no_region_and_an_empty_heatmap():
    flat = np.full((7, 7), 2, np.float32)
    assert regions("x", flat) == ()
    assert set(heatmap("x", flat).values) == {0}


def test_a_heatmap_keeps_the_place_of_its_peak():
    shown = heatmap("x", spot(2, 4))
    assert (shown.height, shown.width) == (7, 7)
    assert int(np.argmax(shown.values)) == 2 * 7 + 4


@given(arrays(np.float32, (7, 7), elements=st.floats(-1000, 1000, width=32)))
def test_any_map_gives_values_and_boxes_within_the_film(logits):
    assert all(0 <= value <= 1 for value in heatmap("x", logits).values)
    for region in regions("x", logits):
        assert region.box.x0 < region.box.x1
        assert region.box.y0 < region.box.y1
        assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in region.polygon)


@pytest.mark.parametrize("orientation", [(), LEFT_HUNG, RIGHT_HUNG])
def test_mirrored_maps_have_mirrored_sides(orientation):
    logits = spot(3, 1)
    here, there = (regions("x", m, orientation)[0].side for m in (logits, np.ascontiguousarray(logits[:, ::-1])))
    assert {here, there} == {"left", "right"}
