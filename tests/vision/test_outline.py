"""Shapes: a map's zero line as a polygon, and the pixels inside it, on any grid, without moving by half a pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.outline import area_of, filled, margin_of, outlines


def disc(side: int, x: float, y: float, radius: float) -> np.ndarray:
    """Distance inside a circle, in shares of the film, at the middles of a grid."""
    places = (np.arange(side) + 0.5) / side
    return (radius - np.hypot(places[None] - x, places[:, None] - y)).astype(np.float32)


class TestOutlines:
    def test_a_disc_keeps_its_place_and_area_on_a_coarse_grid(self) -> None:
        (ring,) = outlines(disc(48, 0.4, 0.6, 0.2))
        assert area_of([ring]) == pytest.approx(np.pi * 0.2**2, rel=0.01)
        assert np.mean([min(x for x, _ in ring), max(x for x, _ in ring)]) == pytest.approx(0.4, abs=0.002)

    def test_holes_are_closed_and_specks_left_out(self) -> None:
        ring = np.minimum(disc(64, 0.5, 0.5, 0.3), -disc(64, 0.5, 0.5, 0.1))
        speck = disc(64, 0.08, 0.08, 0.04)
        (found,) = outlines(np.maximum(ring, speck))
        assert area_of([found]) == pytest.approx(np.pi * 0.3**2, rel=0.02)

    def test_a_large_second_piece_is_kept(self) -> None:
        both = np.maximum(disc(64, 0.3, 0.3, 0.2), disc(64, 0.75, 0.75, 0.1))
        assert len(outlines(both)) == 2

    def test_what_the_film_cuts_ends_at_its_edge(self) -> None:
        (ring,) = outlines(disc(48, 0.0, 0.5, 0.3))
        assert min(x for x, _ in ring) == 0
        assert area_of([ring]) == pytest.approx(np.pi * 0.3**2 / 2, rel=0.02)

    def test_nothing_above_zero_has_no_outline(self) -> None:
        assert outlines(np.full((8, 8), -1, np.float32)) == ()


class TestFilled:
    def test_a_rectangle_fills_exactly_its_pixels(self) -> None:
        inside = filled([((0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0))], 8, 8)
        expected = np.zeros((8, 8), bool)
        expected[4:, 2:6] = True
        assert np.array_equal(inside, expected)

    @given(
        st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=8),
        st.integers(1, 24),
        st.integers(1, 24),
    )
    def test_agrees_with_the_test_of_a_point_in_a_convex_polygon(self, points, height, width) -> None:
        hull = cv2.convexHull(np.asarray(points, np.float32) * np.float32([width, height]))
        inside = filled([tuple((float(x) / width, float(y) / height) for x, y in hull[:, 0])], height, width)
        for row in range(height):
            for column in range(width):
                depth = cv2.pointPolygonTest(hull, (column + 0.5, row + 0.5), True)
                assert abs(depth) < 0.01 or inside[row, column] == (depth > 0)

    def test_a_disc_comes_back_from_its_outline(self) -> None:
        inside = filled(outlines(disc(96, 0.5, 0.5, 0.3)), 301, 257)
        rows, columns = (np.arange(301) + 0.5) / 301, (np.arange(257) + 0.5) / 257
        truth = np.hypot(columns[None] - 0.5, rows[:, None] - 0.5) < 0.3
        assert 2 * (inside & truth).sum() / (inside.sum() + truth.sum()) > 0.995


def test_margin_is_positive_where_a_structure_is_likeliest() -> None:
    shares = np.array([[[0.2, 0.5]], [[0.7, 0.3]], [[0.1, 0.2]]], np.float32)
    assert (margin_of(shares, 1) > 0).tolist() == [[True, False]]
