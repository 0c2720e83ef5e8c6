"""Half the resolution of a JPEG 2000 film: where it is taken, where not, and that analysis says the same of it."""

from __future__ import annotations

from datetime import UTC, datetime

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.encaps import get_frame
from pydicom.uid import JPEG2000Lossless, RLELossless

from vision import Analyzer, read_radiograph
from vision.codestream import J2K_MAGIC
from vision.read import ENOUGH
from vision.reduced import halved

AT = datetime(2026, 3, 1, tzinfo=UTC)


def square(pixels):
    return cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("name", ["RG1_J2KI.dcm", "RG3_J2KI.dcm"])
def test_half_the_resolution_shows_the_same_film(packaged_film, name):
    whole, half = (read_radiograph(packaged_film(name), least_side=side) for side in (None, ENOUGH))
    assert half.pixels.shape == ((whole.rows + 1) // 2, (whole.columns + 1) // 2)
    assert (half.rows, half.columns, half.sha256) == (whole.rows, whole.columns, whole.sha256)
    assert np.abs(square(half.pixels) - square(whole.pixels)).mean() < 0.005


def test_analysis_says_the_same_of_both_within_the_tolerance(packaged_film):
    analyzer = Analyzer(threads=1)
    said = [
        analyzer.analyze(read_radiograph(packaged_film("RG1_J2KI.dcm"), least_side=side), at=AT)
        for side in (None, ENOUGH)
    ]
    whole, half = ({finding.key: (finding.score, finding.label) for finding in result.findings} for result in said)
    for key, (score, label) in whole.items():
        assert half[key][0] == pytest.approx(score, abs=0.02)
        assert half[key][1] == label


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
@pytest.mark.parametrize("side", [96, 2 * ENOUGH])
def test_only_large_jpeg_2000_films_are_halved(film, chest_like, file_bytes, syntax, side):
    if syntax == RLELossless and side > 96:
        pytest.skip("writing it takes long")
    data = file_bytes(film(chest_like(side), WindowCenter=2000, WindowWidth=4000), syntax)
    expected = side // 2 if side > 96 else side
    assert read_radiograph(data, least_side=ENOUGH).pixels.shape == (expected, expected)


def test_values_are_those_stored(packaged_film):
    dataset = pydicom.dcmread(packaged_film("RG1_J2KI.dcm"))
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    half = halved(frame, int(dataset.BitsStored))
    whole = cv2.resize(dataset.pixel_array.astype(np.float32), half.shape[::-1], interpolation=cv2.INTER_AREA)
    assert abs(float(half.mean()) - float(whole.mean())) < 10


@pytest.mark.parametrize("frame", [b"", J2K_MAGIC, J2K_MAGIC + bytes(60), b"\xff\xd8\xff\xe0"])
def test_what_is_no_frame_is_left_to_the_decoder_of_whole_frames(frame):
    assert halved(frame, 12) is None


def test_signed_values_are_decoded_whole(packaged_film):
    dataset = pydicom.dcmread(packaged_film("MR_small_jp2klossless.dcm"))
    assert halved(get_frame(dataset.PixelData, 0, number_of_frames=1), 16) is None
