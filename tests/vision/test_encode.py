"""The encoder: what it gives for a film, and that it refuses weights that are not those of its card."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from vision.card import CARD, combined_sha256, hashes
from vision.encode import Encoder, on_film
from vision.errors import ModelVerificationError
from vision.prepare import golden_film
from vision.result import Box

MODELS = Path(__file__).parents[2] / "vision" / "models"


@pytest.fixture(scope="module", params=("adult", "paediatric"))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return Encoder.load(MODELS / str(request.param), threads=1)


def film(seed: int, height: int = 300, width: int = 260) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    noise = np.random.default_rng(seed).random((height, width), np.float32)
    return np.clip(golden_film(512)[:height, :width] + 0.1 * noise, 0, 1)


class TestViews:
    """Of the adult model: three members see the whole film, three what lies around the lungs."""

    LUNGS = Box(x0=0.3, y0=0.25, x1=0.7, y1=0.75)

    def test_what_lies_beyond_the_lungs_is_for_the_members_alone_that_see_it(self) -> None:
        adult = Encoder.load(MODELS / "adult", threads=1)
        plain, marked = film(7), film(7)
        marked[:20, :20] = 1 - marked[:20, :20]
        one, other = adult.encode(plain, self.LUNGS), adult.encode(marked, self.LUNGS)
        folds = adult.card.folds
        assert not np.allclose(one.member_logits[:folds], other.member_logits[:folds], atol=1e-3)
        assert np.allclose(one.member_logits[folds:], other.member_logits[folds:], atol=1e-3)

    def test_without_lungs_every_member_sees_the_whole_film(self) -> None:
        adult = Encoder.load(MODELS / "adult", threads=1)
        whole = Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)
        assert np.allclose(adult.encode(film(8)).member_logits, adult.encode(film(8), whole).member_logits)

    def test_the_map_of_a_part_is_laid_where_the_part_is(self) -> None:
        seen = np.zeros((1, 7, 7), np.float32)
        seen[0, 0, 6] = 1.0
        on = on_film(seen, Box(x0=0.5, y0=0.5, x1=1.0, y1=1.0))[0]
        row, column = np.unravel_index(on.argmax(), on.shape)
        assert (row / len(on), column / len(on)) == (pytest.approx(0.5, abs=0.07), pytest.approx(0.95, abs=0.07))
        assert (on[: len(on) // 2] == 0).all()


class TestEncoding:
    def test_there_is_a_score_and_a_map_for_every_label(self, encoder: Encoder) -> None:
        encoding = encoder.encode(film(1))
        assert tuple(encoding.scores) == encoder.card.labels
        assert tuple(encoding.maps) == encoder.card.labels
        assert all(0 <= score <= 1 for score in encoding.scores.values())

    def test_maps_of_all_findings_share_one_grid(self, encoder: Encoder) -> None:
        maps = encoder.encode(film(2)).maps.values()
        assert len({values.shape for values in maps}) == 1
        assert all(np.isfinite(values).all() for values in maps)

    def test_logit_is_the_mean_of_the_members(self, encoder: Encoder) -> None:
        encoding = encoder.encode(film(3))
        assert encoding.member_logits.shape == (encoder.card.members, len(encoder.card.labels))
        assert encoding.member_logits.mean(0) == pytest.approx(list(encoding.logits.values()), abs=0.02)

    def test_same_film_gives_the_same_result(self, encoder: Encoder) -> None:
        first, second = encoder.encode(film(4)), encoder.encode(film(4))
        assert first.logits == second.logits
        assert np.array_equal(first.embedding, second.embedding)

    def test_exposure_changes_next_to_nothing(self, encoder: Encoder) -> None:
        plain, dim = encoder.encode(film(5)), encoder.encode(film(5) * 0.5 + 0.2)
        for label, score in plain.scores.items():
            assert dim.scores[label] == pytest.approx(score, abs=0.01)

    @pytest.mark.parametrize("shape", [(64, 64), (1, 1), (2000, 40), (40, 2000)])
    def test_film_of_any_shape_gives_finite_numbers(self, encoder: Encoder, shape: tuple[int, int]) -> None:
        encoding = encoder.encode(np.random.default_rng(0).random(shape, np.float32))
        assert np.isfinite(list(encoding.logits.values())).all()
        assert np.isfinite(encoding.embedding).all()

    def test_black_film_gives_finite_numbers(self, encoder: Encoder) -> None:
        assert np.isfinite(list(encoder.encode(np.zeros((100, 100), np.float32)).logits.values())).all()

    def test_higher_logit_is_a_higher_score(self, encoder: Encoder) -> None:
        for label in encoder.card.labels:
            scores = [encoder.score(label, logit) for logit in (-3.0, 0.0, 3.0)]
            assert scores == sorted(scores)
            assert scores[0] < scores[2]


class TestVerification:
    def test_weights_that_give_other_golden_scores_are_refused(self, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(MODELS / "paediatric", tmp_path / "paediatric"))
        card = yaml.safe_load((copy / CARD).read_text("utf-8"))
        card["golden"]["scores"] = {label: abs(score - 0.5) for label, score in card["golden"]["scores"].items()}
        (copy / CARD).write_text(yaml.safe_dump(card), "utf-8")
        with pytest.raises(ModelVerificationError, match="golden"):
            Encoder.load(copy, threads=1)

    def test_weights_that_do_not_load_are_refused_even_with_a_matching_hash(self, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(MODELS / "paediatric", tmp_path / "paediatric"))
        (copy / "model.xml").write_text("<net/>", "utf-8")
        card = yaml.safe_load((copy / CARD).read_text("utf-8"))
        card["files"] = hashes(copy)
        card["bound_to"]["sha256"] = combined_sha256(card["files"])
        (copy / CARD).write_text(yaml.safe_dump(card), "utf-8")
        with pytest.raises(ModelVerificationError, match="do not load"):
            Encoder.load(copy, threads=1)
