"""Pictures for people: the film as PNG, the heatmap as an overlay, the named enhancements."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.data import get_testdata_file

from vision import deep_picture, heatmap_png, read_radiograph, render_png
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


def test_the_deep_picture_through_its_window_is_the_picture_that_is_rendered(film, chest_like, file_bytes):
    data = file_bytes(film(chest_like(200)))
    deep = deep_picture(data, 200)
    shown = np.clip((deep.values / 65535 - deep.level) / deep.width + 0.5, 0, 1)
    rendered = opened(render_png(read_radiograph(data), 200)) / 255
    assert deep.values.dtype == np.uint16
    assert np.abs(shown - rendered).max() < 0.01


@pytest.mark.parametrize("name", ["RG1_J2KI.dcm", "RG3_J2KI.dcm"])
def test_a_real_films_depth_is_kept(name):
    path = get_testdata_file(name, download=False)
    data = Path(path).read_bytes()
    deep = deep_picture(data, 4000)
    shown = np.clip((deep.values / 65535 - deep.level) / deep.width + 0.5, 0, 1)
    rendered = opened(render_png(read_radiograph(data), 4000)) / 255
    assert len(np.unique(deep.values)) > 256
    assert np.abs(shown - rendered).max() < 0.02


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_viewers_window_reaches_what_the_films_own_window_cuts_off(film, chest_like, file_bytes, photometric):
    made = film(chest_like(100), PhotometricInterpretation=photometric)
    made.WindowCenter, made.WindowWidth = 2048, 500
    data = file_bytes(made)
    deep = deep_picture(data, 100)
    assert deep.width < 1
    assert len(np.unique(deep.values)) > 2 * len(np.unique(opened(render_png(read_radiograph(data), 100))))
    shown = np.clip((deep.values / 65535 - deep.level) / deep.width + 0.5, 0, 1)
    assert np.abs(shown - opened(render_png(read_radiograph(data), 100)) / 255).max() < 0.01


def test_a_film_with_a_look_up_table_is_given_after_it(film, chest_like, file_bytes):
    made = film(chest_like(60))
    made.VOILUTFunction, made.WindowCenter, made.WindowWidth = "SIGMOID", 2048, 1000
    deep = deep_picture(file_bytes(made), 60)
    assert 0.2 < deep.width <= 1.2
