"""Broken files: whatever the bytes, reading ends in a film or in a refusal, within bounded memory, quietly."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from vision import Radiograph
from vision.codestream import declared_size, is_whole, rle_is_longer_than

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
SURVIVE = Path(__file__).with_name("survive_mutations.py")
MOST_MIB = 1024
outcome = runpy.run_path(str(SURVIVE))["outcome"]


@pytest.fixture(scope="module")
def originals(packaged_film, film, chest_like, file_bytes, picture_bytes) -> list[bytes]:
    grey = chest_like(bits=8).astype(np.uint8)
    made = [
        file_bytes(film(chest_like(), WindowCenter=2000, WindowWidth=3000), syntax)
        for syntax in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless)
    ]
    pictures = [picture_bytes(grey, kind) for kind in (".png", ".jpg")]
    return [*(packaged_film(name).read_bytes() for name in PACKAGED), *made, *pictures]


def test_the_originals_are_films_or_refused_for_what_they_are(originals):
    outcomes = [outcome(data) for data in originals]
    assert sum(isinstance(film, Radiograph) for film in outcomes) >= len(originals) - 3


def survived(folder: Path, count: int, seed: int) -> dict[str, int]:
    """Return what a process of its own says of broken copies of the films in a folder."""
    command = [sys.executable, str(SURVIVE), str(folder), str(count), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, int] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def films(originals, packaged_film, tmp_path_factory) -> Path:
    """A folder of whole films, those of the shared data among them where they are there."""
    folder = tmp_path_factory.mktemp("films")
    real = [packaged_film(name).read_bytes() for name in ("RG1_J2KI.dcm", "RG3_J2KI.dcm")]
    shared = Path(os.environ.get("CDS_SHARED_DATA", SURVIVE.parents[3] / "shared" / "data")) / "dicom"
    more = [path.read_bytes() for path in sorted(shared.iterdir())] if shared.is_dir() else []
    for number, data in enumerate([*originals, *real, *more]):
        (folder / f"{number:02d}").write_bytes(data)
    return folder


def test_mutated_films_are_read_analysed_or_refused_within_time_and_memory(films):
    said = survived(films, 60, seed=7)
    assert said["unreadable"] + said["read"] == 60
    assert said["read"]
    assert said["peak_mib"] < MOST_MIB


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_mutated_films_are_read_analysed_or_refused(films, seed):
    said = survived(films, 1000, seed=100 + seed)
    assert said["unreadable"] + said["read"] == 1000
    assert said["peak_mib"] < MOST_MIB


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
