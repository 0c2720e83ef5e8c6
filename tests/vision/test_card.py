"""The card of a model folder: what it must hold together, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from vision.card import CARD, ModelCard, hashes, read_card, verify_files, verify_golden, write_card
from vision.errors import ModelVerificationError

MODELS = Path(__file__).parents[2] / "vision" / "models"
NAMES = ("adult", "paediatric", *(name for name in ("fracture", "mammography") if (MODELS / name).is_dir()))


@pytest.fixture(params=NAMES)
def folder(request: pytest.FixtureRequest) -> Path:
    return MODELS / str(request.param)


def changed(folder: Path, **fields: Any) -> dict[str, Any]:
    return {**yaml.safe_load((folder / CARD).read_text("utf-8")), **fields}


class TestPackagedCards:
    def test_files_are_those_of_the_card(self, folder: Path) -> None:
        verify_files(folder, read_card(folder))

    def test_every_label_is_served_or_says_why_not(self, folder: Path) -> None:
        card = read_card(folder)
        assert set(card.served) | set(card.tried) == set(card.labels)
        assert not set(card.served) & set(card.tried)

    def test_nothing_is_served_that_rests_on_too_few_patients_or_may_be_near_chance(self, folder: Path) -> None:
        card = read_card(folder)
        for label in card.served:
            assert card.metrics[label]["positive_patients"] >= 40
            assert card.metrics[label]["auroc"]["low"] > 0.6

    def test_every_figure_lies_in_its_interval(self, folder: Path) -> None:
        for figures in read_card(folder).metrics.values():
            auroc = figures["auroc"]
            assert auroc["low"] <= auroc["value"] <= auroc["high"]

    def test_every_cut_off_names_its_operating_point(self, folder: Path) -> None:
        for cut_off in read_card(folder).thresholds.values():
            assert 0 < cut_off["value"] < 1
            assert cut_off["operating_point"]
            assert cut_off["sensitivity"]["low"] <= cut_off["sensitivity"]["value"] <= cut_off["sensitivity"]["high"]

    def test_licence_lies_beside_the_weights(self, folder: Path) -> None:
        assert (folder / "LICENSE").read_text("utf-8").strip()

    def test_tuberculosis_has_no_cut_off(self) -> None:
        assert "tuberculosis" not in read_card(MODELS / "adult").thresholds

    def test_adult_weights_are_for_research_only(self) -> None:
        assert "non-commercial" in (MODELS / "adult" / "LICENSE").read_text("utf-8")

    def test_weights_together_stay_within_sixty_megabytes(self) -> None:
        assert sum(file.stat().st_size for file in MODELS.rglob("*.bin")) < 60e6


class TestReading:
    def test_written_card_reads_back_the_same(self, folder: Path, tmp_path: Path) -> None:
        card = read_card(folder)
        write_card(tmp_path, card)
        assert read_card(tmp_path) == card

    def test_missing_card_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelVerificationError, match="no readable"):
            read_card(tmp_path)

    @pytest.mark.parametrize("text", ["", "- a list", "id: [", "id: x\n", "\x00"])
    def test_what_is_not_a_card_is_refused(self, tmp_path: Path, text: str) -> None:
        (tmp_path / CARD).write_text(text, "utf-8")
        with pytest.raises(ModelVerificationError):
            read_card(tmp_path)

    def test_unknown_field_is_refused(self, folder: Path) -> None:
        with pytest.raises(ValidationError, match="surprise"):
            ModelCard.model_validate(changed(folder, surprise=1))

    def test_thresholds_of_other_weights_are_refused(self, folder: Path) -> None:
        with pytest.raises(ValidationError, match="other weights"):
            ModelCard.model_validate(changed(folder, bound_to={"sha256": "0" * 64}))

    def test_serving_what_is_no_label_is_refused(self, folder: Path) -> None:
        with pytest.raises(ValidationError, match="served must be labels"):
            ModelCard.model_validate(changed(folder, served=["telepathy"]))

    def test_label_without_calibration_is_refused(self, folder: Path) -> None:
        with pytest.raises(ValidationError, match="calibration"):
            ModelCard.model_validate(changed(folder, calibration={}))


class TestVerification:
    def test_changed_byte_in_the_weights_is_refused(self, folder: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(folder, tmp_path / "model"))
        weights = bytearray((copy / "model.bin").read_bytes())
        weights[len(weights) // 2] ^= 1
        (copy / "model.bin").write_bytes(weights)
        with pytest.raises(ModelVerificationError, match="sha256"):
            verify_files(copy, read_card(copy))

    def test_absent_weights_are_refused(self, folder: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(folder, tmp_path / "model"))
        (copy / "model.bin").unlink()
        with pytest.raises(ModelVerificationError, match="missing"):
            verify_files(copy, read_card(copy))

    def test_hashes_are_those_of_the_files(self, folder: Path) -> None:
        assert hashes(folder) == read_card(folder).files

    def test_golden_scores_pass_within_the_tolerance_only(self, folder: Path) -> None:
        card = read_card(folder)
        near = {label: score + 0.019 for label, score in card.golden.scores.items()}
        far = {label: score + 0.021 for label, score in card.golden.scores.items()}
        verify_golden(card, near)
        with pytest.raises(ModelVerificationError, match="golden"):
            verify_golden(card, far)
