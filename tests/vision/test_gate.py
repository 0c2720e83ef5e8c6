"""The gate: what is not a frontal chest film is refused with its reason; chest films go on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from vision import ModelVerificationError, Radiograph, Technique, read_radiograph
from vision.card import write_card
from vision.gate import GATE, NOT_CHEST, Gate
from vision.gate_card import read_card
from vision.gate_header import header_rejection
from vision.gate_pixels import pixel_rejection

NOTHING = Technique()


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate.load(GATE, threads=1)


@pytest.fixture(scope="module")
def chest(packaged_film) -> Radiograph:
    return read_radiograph(packaged_film("RG1_J2KI.dcm"))


def bare(pixels: np.ndarray) -> Radiograph:
    """Return a picture as it comes without any header."""
    pixels = np.ascontiguousarray(pixels, np.float32)
    return Radiograph(
        pixels=pixels, sha256="", rows=pixels.shape[0], columns=pixels.shape[1], bits=8, has_metadata=False
    )


def as_png(film: Radiograph, tmp_path: Path) -> Radiograph:
    """Return a film after a trip through an 8-bit PNG without header."""
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), np.round(film.pixels * 255).astype(np.uint8))
    return read_radiograph(path)


def code(gate: Gate, film: Radiograph, technique: Technique = NOTHING) -> str | None:
    rejection = gate.judge(film, technique).rejection
    return None if rejection is None else rejection.code


class TestHeader:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"modality": "CT"}, "wrong_modality"),
            ({"modality": "MG"}, "wrong_modality"),
            ({"modality": "SR"}, "wrong_modality"),
            ({"body_part": "EXTREMITY"}, "wrong_body_part"),
            ({"body_part": "LSPINE"}, "wrong_body_part"),
            ({"body_part": "ABDOMEN"}, "wrong_body_part"),
            ({"view": "lateral"}, "not_frontal"),
            ({"view": "oblique"}, "not_frontal"),
            ({"view": "decubitus"}, "not_frontal"),
            ({"presentation": False}, "raw_detector_data"),
            ({"modality": "DX", "body_part": "CHEST", "view": "AP"}, None),
            ({"modality": "OT", "body_part": None, "view": None}, None),
            ({"body_part": "CHEST ABDOMEN"}, None),
            ({"body_part": "PORTABLE"}, None),
        ],
    )
    def test_what_a_header_rules_out(self, chest, fields, expected):
        rejection = header_rejection(replace(chest, **fields), NOTHING)
        assert (rejection.code if rejection else None) == expected

    def test_what_is_given_counts_where_the_header_is_silent(self):
        film = bare(np.zeros((80, 80)))
        assert header_rejection(film, Technique(view="lateral")).code == "not_frontal"
        assert header_rejection(film, Technique(body_part="knee")).code == "wrong_body_part"

    def test_the_header_wins_over_what_is_given(self, chest):
        assert header_rejection(chest, Technique(view="lateral", body_part="KNEE")) is None

    def test_reasons_say_no_value_of_the_header(self, chest):
        rejection = header_rejection(replace(chest, body_part="KNEE OF SECRET NAME"), NOTHING)
        assert "SECRET" not in rejection.reason.upper()


class TestPixels:
    @pytest.mark.parametrize(
        ("pixels", "expected"),
        [
            (np.full((200, 200), 0.5), "blank"),
            (np.zeros((200, 200)), "blank"),
            (np.random.default_rng(0).random((20, 200)), "too_small"),
            (np.random.default_rng(0).random((100, 400)), "not_a_film"),
            (np.round(np.random.default_rng(0).random((200, 200))), "not_a_film"),
            (np.random.default_rng(0).random((200, 200)), None),
        ],
    )
    def test_what_simple_measures_rule_out(self, pixels, expected):
        rejection = pixel_rejection(bare(pixels))
        assert (rejection.code if rejection else None) == expected

    def test_a_colour_picture_is_no_film(self):
        film = replace(bare(np.random.default_rng(0).random((200, 200))), colour=0.5)
        assert pixel_rejection(film).code == "not_a_film"


class TestNetwork:
    def test_the_real_chest_film_passes_with_and_without_its_header(self, gate, chest, tmp_path):
        assert code(gate, chest) is None
        assert code(gate, as_png(chest, tmp_path)) is None

    def test_a_tibia_is_refused_by_its_header_and_by_its_pixels(self, gate, packaged_film, tmp_path):
        tibia = read_radiograph(packaged_film("RG3_J2KI.dcm"))
        assert code(gate, tibia) == "wrong_body_part"
        assert code(gate, as_png(tibia, tmp_path)) == "wrong_body_part"

    @pytest.mark.parametrize("name", ["CT_small.dcm", "693_UNCI.dcm", "bad_sequence.dcm", "J2K_pixelrep_mismatch.dcm"])
    def test_cross_sections_are_refused_by_header_and_by_pixels(self, gate, packaged_film, tmp_path, name):
        section = read_radiograph(packaged_film(name))
        assert code(gate, section) == "wrong_modality"
        assert code(gate, as_png(section, tmp_path)) is not None

    @pytest.mark.parametrize("name", ["flower.jpg", "china.jpg"])
    def test_photographs_are_refused_in_colour_and_in_grey(self, gate, picture_bytes, name):
        photograph = np.ascontiguousarray(load_sample_image(name)[..., ::-1])
        assert code(gate, read_radiograph(picture_bytes(photograph))) == "not_a_film"
        grey = cv2.cvtColor(photograph, cv2.COLOR_BGR2GRAY)
        assert code(gate, read_radiograph(picture_bytes(grey))) == "not_a_film"

    @pytest.mark.parametrize(
        ("turn", "expected"),
        [
            (lambda p: np.rot90(p), "rotated"),
            (lambda p: np.rot90(p, 3), "rotated"),
            (lambda p: np.rot90(p, 2), "rotated"),
            (lambda p: 1 - p, "inverted"),
        ],
        ids=["on its left side", "on its right side", "upside down", "inverted"],
    )
    def test_a_chest_film_shown_wrongly_is_refused_with_what_to_do(self, gate, chest, turn, expected):
        assert code(gate, bare(turn(chest.pixels))) == expected

    def test_noise_is_no_film(self, gate):
        assert code(gate, bare(np.random.default_rng(3).random((256, 256)))) is not None

    def test_the_view_of_the_header_is_kept(self, gate, chest):
        verdict = gate.judge(chest, Technique(view="AP"))
        assert (verdict.view, verdict.view_source) == ("PA", "header")

    def test_a_given_view_is_used_where_there_is_no_header(self, gate, chest):
        verdict = gate.judge(bare(chest.pixels), Technique(view="ap"))
        assert (verdict.view, verdict.view_source) == ("AP", "given")

    def test_every_kind_but_chest_has_a_reason(self, gate):
        assert set(gate.card.kinds) == {"chest", *NOT_CHEST}


class TestVerification:
    @pytest.fixture
    def copy(self, tmp_path) -> Path:
        return Path(shutil.copytree(GATE, tmp_path / "gate"))

    def test_changed_weights_are_refused(self, copy):
        weights = copy / "model.bin"
        data = bytearray(weights.read_bytes())
        data[1000] ^= 1
        weights.write_bytes(data)
        with pytest.raises(ModelVerificationError, match="sha256"):
            Gate.load(copy, 1)

    def test_another_golden_output_is_refused(self, copy):
        card = read_card(copy)
        write_card(copy, card.model_copy(update={"golden": card.golden.model_copy(update={"distance": 1e3})}))
        with pytest.raises(ModelVerificationError, match="golden"):
            Gate.load(copy, 1)

    @pytest.mark.parametrize("missing", ["model.yaml", "model.bin", "model.xml"])
    def test_a_missing_file_is_refused(self, copy, missing):
        (copy / missing).unlink()
        with pytest.raises(ModelVerificationError):
            Gate.load(copy, 1)


@pytest.mark.shared_data
class TestHeldOutFilms:
    """Films the gate has not learned from, in the fold that its training left out."""

    def test_nearly_all_unseen_chest_films_pass_and_what_is_none_does_not(self, gate, shared_data):
        from vision.training.gate_pictures import pictures

        unseen = [p for p in pictures(shared_data) if p.split == "test"]
        chosen = np.random.default_rng(5).permutation(len(unseen))[:240]
        passed = {"chest": [], "other": []}
        for picture in (unseen[i] for i in chosen):
            group = "chest" if picture.kind == "chest" else "other"
            passed[group].append(code(gate, bare(picture.load())) is None)
        assert np.mean(passed["chest"]) >= 0.97
        assert np.mean(passed["other"]) <= 0.03
