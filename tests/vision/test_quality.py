"""The hygiene table of a folder, its picture, and the measures of one film."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from vision import Radiograph, read_radiograph
from vision.measure import border_of, quality_of
from vision.quality import quality_picture, quality_table


@pytest.fixture(scope="module")
def rows(tmp_path_factory, packaged_film):
    folder = tmp_path_factory.mktemp("films")
    chest = packaged_film("RG1_J2KI.dcm")
    shutil.copy(chest, folder / "a_chest.dcm")
    shutil.copy(chest, folder / "b_same.dcm")
    shutil.copy(packaged_film("CT_small.dcm"), folder / "c_section.dcm")
    (folder / "d_cut.dcm").write_bytes(chest.read_bytes()[:200_000])
    (folder / "e_note.txt").write_text("not a film")
    grey = np.round((1 - read_radiograph(chest).pixels) * 255).astype(np.uint8)
    cv2.imwrite(str(folder / "f_inverted.png"), cv2.resize(grey, (512, 512)))
    return quality_table(sorted(folder.iterdir()))


def row(rows, name):
    return next(row for row in rows if row["file"].endswith(name))


def test_every_file_has_a_row_in_the_order_given(rows):
    assert [r["file"][-5:] for r in rows] == ["t.dcm", "e.dcm", "n.dcm", "t.dcm", "e.txt", "d.png"]


def test_a_chest_film_is_accepted_and_described(rows):
    chest = row(rows, "a_chest.dcm")
    assert chest["gate"] == "accepted"
    assert (chest["rows"], chest["columns"], chest["bits"], chest["modality"]) == (1955, 1841, 15, "CR")
    assert (chest["view"], chest["age_known"], chest["sex_known"], chest["inverted"]) == ("PA", True, True, False)
    assert (chest["age_group"], chest["rotated"], chest["partial"]) == ("adult", False, False)
    assert chest["chest"] > 0.5
    assert 0 < chest["distance"] < 1


def test_the_same_bytes_again_are_a_duplicate_of_the_first(rows):
    assert row(rows, "b_same.dcm")["duplicate_of"] == row(rows, "a_chest.dcm")["file"]
    assert row(rows, "a_chest.dcm")["duplicate_of"] is None


def test_unreadable_files_are_listed_with_their_reason(rows):
    assert [(row(rows, n)["readable"], row(rows, n)["code"]) for n in ("d_cut.dcm", "e_note.txt")] == [
        (False, "truncated"),
        (False, "not_an_image"),
    ]


def test_a_cross_section_and_an_inverted_film_are_named_as_such(rows):
    assert row(rows, "c_section.dcm")["gate"] == "wrong_modality"
    assert row(rows, "f_inverted.png")["inverted"] is True


def test_the_table_goes_into_json(rows):
    assert json.loads(json.dumps(rows)) == rows


@pytest.mark.parametrize("count", [0, 1, 6])
def test_the_picture_is_a_png_however_few_the_files(rows, count):
    picture = cv2.imdecode(np.frombuffer(quality_picture(rows[:count]), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert min(picture.shape[:2]) > 500


def test_a_blurred_film_is_less_sharp(packaged_film):
    sharp = read_radiograph(packaged_film("RG1_J2KI.dcm"))
    blurred = cv2.GaussianBlur(sharp.pixels, (0, 0), 12)
    assert quality_of(replace(sharp, pixels=blurred))["sharpness"] < 0.5 * quality_of(sharp)["sharpness"]


def test_a_border_is_measured():
    square = np.random.default_rng(0).random((100, 100)).astype(np.float32)
    assert border_of(square) == 0
    square[:20] = 0
    square[:, 90:] = 1
    assert border_of(square) == pytest.approx(1 - 0.8 * 0.9)


def test_letters_burned_in_are_noticed():
    plain = np.full((512, 512), 0.3, np.float32)
    plain += np.random.default_rng(0).normal(0, 0.01, plain.shape).astype(np.float32)
    letters = np.zeros((512, 512), np.uint8)
    cv2.putText(letters, "PORTABLE L", (40, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3)
    marked = np.where(letters > 0, 1, plain).astype(np.float32)
    assert quality_of(_bare(plain))["burned_in_marks"] == 0
    assert quality_of(_bare(marked))["burned_in_marks"] > 0.002


def _bare(pixels):
    return Radiograph(
        pixels=pixels, sha256="", rows=pixels.shape[0], columns=pixels.shape[1], bits=8, has_metadata=False
    )
