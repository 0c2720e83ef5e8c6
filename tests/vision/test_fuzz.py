"""Broken files: whatever the bytes, reading ends in a film or in a refusal, within bounded memory, quietly."""

from __future__ import annotations

import random
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from vision import Radiograph, UnreadableImageError, read_radiograph
from vision.codestream import declared_size, is_whole, rle_is_longer_than
from vision.read import CODES

PACKAGED = (
    "JPEG2000.dcm",
    "JPGExtended.dcm",
    "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "CT_small.dcm",
    "image_dfl.dcm",
    "no_meta.dcm",
    "vlut_04.dcm",
    "mlut_18.dcm",
)
LARGEST = 400 * 2**20


@pytest.fixture(scope="module")
def originals(packaged_film, film, chest_like, file_bytes, picture_bytes) -> list[bytes]:
    grey = chest_like(bits=8).astype(np.uint8)
    made = [
        file_bytes(film(chest_like(), WindowCenter=2000, WindowWidth=3000), syntax)
        for syntax in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless)
    ]
    pictures = [picture_bytes(grey, kind) for kind in (".png", ".jpg")]
    return [*(packaged_film(name).read_bytes() for name in PACKAGED), *made, *pictures]


def read_quietly(data: bytes | Path) -> Radiograph | UnreadableImageError:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return read_radiograph(data)
        except UnreadableImageError as error:
            return error


def outcome(data: bytes | Path) -> Radiograph | UnreadableImageError:
    """Return a film or a refusal; anything else that happens fails the test."""
    film = read_quietly(data)
    if isinstance(film, UnreadableImageError):
        assert film.code in CODES
        assert str(film)
        return film
    assert film.pixels.dtype == np.float32
    assert film.pixels.shape == (film.rows, film.columns)
    assert np.isfinite(film.pixels).all()
    assert film.pixels.min() >= 0
    assert film.pixels.max() <= 1
    return film


def broken(data: bytes, chance: random.Random) -> bytes:
    """Return bytes cut, flipped, overwritten, repeated or swapped; the header more often than the pixels."""
    mutable = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        reach = len(mutable) if chance.random() < 0.4 else min(len(mutable), 2000)
        place = chance.randrange(max(reach, 1))
        kind = chance.randrange(6)
        if kind == 0:
            mutable[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            mutable[place : place + 4] = chance.choice([b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f"])
        elif kind == 2:
            del mutable[place : place + chance.randrange(1, 40)]
        elif kind == 3:
            mutable[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 20)))
        elif kind == 4:
            length = chance.randrange(1, 200)
            mutable[place:place] = mutable[place : place + length]
        else:
            del mutable[place + chance.randrange(1 + len(mutable) // 2) :]
    return bytes(mutable)


def survive(originals: list[bytes], count: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - mutations, not secrets
    for _ in range(count):
        outcome(broken(chance.choice(originals), chance))


def test_the_originals_are_films_or_refused_for_what_they_are(originals):
    outcomes = [outcome(data) for data in originals]
    assert sum(isinstance(film, Radiograph) for film in outcomes) >= len(originals) - 3


def test_mutated_films_are_read_or_refused(originals):
    survive(originals, 200, seed=7)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_ten_thousand_mutated_films_are_read_or_refused(originals, seed):
    survive(originals, 500, seed=100 + seed)


def test_mutated_films_take_no_more_memory_than_the_largest_film_may(originals):
    tracemalloc.start()
    try:
        survive([data for data in originals if len(data) < 60_000], 40, seed=11)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < LARGEST


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_or_read(data):
    outcome(data)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_behind_a_dicom_prefix_are_refused_or_read(data):
    outcome(bytes(128) + b"DICM" + data)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "]),
    st.binary(max_size=200),
)
def test_codestreams_never_upset_their_readers(magic, rest):
    size = declared_size(magic + rest)
    assert size is None or min(size) >= 0
    assert is_whole(magic + rest) in (True, False)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 1000))
def test_rle_lengths_are_told_for_any_bytes(data, limit):
    assert rle_is_longer_than(data, limit) in (True, False)
