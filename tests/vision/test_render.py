"""Pictures for people: the film as PNG, the heatmap as an overlay, the named enhancements."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vision import heatmap_png, read_radiograph, render_png
from vision.enhance import ENHANCEMENTS
from vision.explain import heatmap


def opened(png: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture


@pytest.fixture
def radiograph(film, chest_like, file_bytes):
    return read_radiograph(file_bytes(film(chest_like(200)[:, :150])))


def test_a_film_is_shrunk_to_the_longest_side_asked_for_and_keeps_its_shape(radiograph):
    picture = opened(render_png(radiograph, 100, None))
    assert picture.shape == (100, 75)
    assert picture.dtype == np.uint8


def test_a_smaller_film_is_not_enlarged(radiograph):
    assert opened(render_png(radiograph, 4000, None)).shape == (200, 150)


@pytest.mark.parametrize("name", sorted(ENHANCEMENTS))
def test_each_enhancement_changes_the_picture_and_stays_in_range(radiograph, name):
    enhanced = ENHANCEMENTS[name](radiograph.pixels)
    assert enhanced.dtype == np.float32
    assert enhanced.shape == radiograph.pixels.shape
    assert enhanced.min() >= 0
    assert enhanced.max() <= 1
    assert render_png(radiograph, 200, name) != render_png(radiograph, 200, None)


@pytest.mark.parametrize("name", sorted(ENHANCEMENTS))
def test_enhancements_leave_their_input_alone(radiograph, name):
    before = radiograph.pixels.copy()
    ENHANCEMENTS[name](radiograph.pixels)
    assert np.array_equal(radiograph.pixels, before)


def test_denoising_brings_a_noisy_flat_film_closer_to_flat():
    noisy = np.clip(0.5 + np.random.default_rng(0).normal(0, 0.03, (64, 64)), 0, 1).astype(np.float32)
    assert ENHANCEMENTS["denoise"](noisy).std() < 0.7 * noisy.std()


def test_an_unknown_enhancement_is_refused(radiograph):
    with pytest.raises(ValueError, match="unknown enhancement"):
        render_png(radiograph, 100, "sepia")


def test_a_heatmap_is_opaque_where_the_evidence_is_and_clear_elsewhere():
    logits = np.full((7, 7), -4, np.float32)
    logits[1, 5] = 4
    overlay = opened(heatmap_png(heatmap("lung_opacity", logits), 140, 70))
    assert overlay.shape == (70, 140, 4)
    alpha = overlay[..., 3]
    assert alpha[15, 110] > 100
    assert alpha[60, 10] == 0
