"""Training: augmentation, the order of an epoch, going on after a cut, and an export that gives what was trained."""

from __future__ import annotations

import time
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import cv2
import numpy as np
import openvino
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs the `train` extra")
pytest.importorskip("monai", reason="training needs the `train` extra")

from vision.anatomy import AnatomyModel  # noqa: E402
from vision.encode import Encoder  # noqa: E402
from vision.evaluation import evaluate  # noqa: E402
from vision.evaluation.films import folds_of  # noqa: E402
from vision.evaluation.outlines import (  # noqa: E402
    BACKGROUND,
    HEART,
    LEFT_OF_PICTURE,
    NOT_LUNG,
    RIGHT_OF_PICTURE,
    OutlinedFilms,
)
from vision.prepare import Preparation, golden_film, prepared  # noqa: E402
from vision.training.anatomy import finish  # noqa: E402
from vision.training.anatomy_augment import OutlineAugmentation, mirrored  # noqa: E402
from vision.training.anatomy_train import AnatomyRecipe, outline_loss, outline_set  # noqa: E402
from vision.training.anatomy_train import train_fold as train_outlines  # noqa: E402
from vision.training.augment import Augmentation  # noqa: E402
from vision.training.datasets import PLACE_SIDE, STORED_SIDE, FilmSet  # noqa: E402
from vision.training.export import converted, export  # noqa: E402
from vision.training.folds import StepProgress, train_folds  # noqa: E402
from vision.training.network import BLOCKS, ChestNetwork, ExportedEnsemble, Trunk  # noqa: E402
from vision.training.run import measure_again, train_model  # noqa: E402
from vision.training.schedule import checkpoint_of  # noqa: E402
from vision.training.train import Recipe, load_fold, train_fold  # noqa: E402

RECIPE = Recipe(size=64, folds=2, epochs=2, batch=4)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def films(count: int = 12) -> FilmSet:
    random = np.random.default_rng(0)
    placed = np.arange(count) % 2 == 0
    return FilmSet(
        labels=("lung_opacity", "abnormal"),
        films=random.integers(0, 255, (count, STORED_SIDE, STORED_SIDE), np.uint8),
        targets=random.choice([0, 1, np.nan], (count, 2)).astype(np.float32),
        weights=np.ones((count, 2), np.float32),
        places=np.zeros((count, PLACE_SIDE, PLACE_SIDE), np.uint8),
        placed=placed,
        rate=np.ones(count, np.float32),
        groups=np.array([f"p{number // 2}" for number in range(count)]),
    )


class TestAugmentation:
    def test_gives_a_network_input_and_a_mask_of_the_same_size(self) -> None:
        film, place = films(1).films[0], np.zeros((PLACE_SIDE, PLACE_SIDE), np.uint8)
        image, mask = Augmentation(Preparation(size=96), 1)(film, place)
        assert (image.shape, mask.shape) == ((3, 96, 96), (96, 96))
        assert np.isfinite(image).all()

    def test_mask_moves_with_the_film(self) -> None:
        film = np.zeros((STORED_SIDE, STORED_SIDE), np.uint8)
        film[40:120, 30:110] = 255
        place = np.zeros((PLACE_SIDE, PLACE_SIDE), np.uint8)
        place[10:30, 7:27] = 255
        augment = Augmentation(Preparation(size=128), 3, degrade=0)
        for _ in range(10):
            image, mask = augment(film, place)
            bright = image[0] > image[0].mean()
            inside = mask > 0.5
            assert (bright & inside).sum() / (bright | inside).sum() > 0.6

    def test_same_seed_gives_the_same_pictures(self) -> None:
        film, place = films(1).films[0], np.zeros((PLACE_SIDE, PLACE_SIDE), np.uint8)
        first, second = Augmentation(Preparation(), 5)(film, place), Augmentation(Preparation(), 5)(film, place)
        assert np.array_equal(first[0], second[0])


def endless(fold: int, checkpoints: Path, progress: StepProgress) -> None:
    progress(10, 20, 0.0)
    while True:
        time.sleep(0.1)


class TestTraining:
    def test_patients_of_the_fold_are_never_shown(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shown: list[int] = []
        some = films()
        inner = Augmentation.__call__

        def spy(
            self: Augmentation, film: NDArray[np.uint8], place: NDArray[np.uint8]
        ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            shown.extend(np.flatnonzero((some.films == film).all((1, 2))))
            return inner(self, film, place)

        monkeypatch.setattr(Augmentation, "__call__", spy)
        train_fold(some, replace(RECIPE, epochs=1), 0, tmp_path)
        assert shown
        assert (folds_of(some.groups[shown], RECIPE.folds) != 0).all()

    def test_finished_run_is_not_trained_again(self, tmp_path: Path) -> None:
        train_fold(films(), RECIPE, 0, tmp_path)
        steps: list[int] = []
        again = train_fold(films(), RECIPE, 0, tmp_path, progress=lambda step, steps_, loss: steps.append(step))
        assert steps == []
        kept = load_fold(2, tmp_path, 0, boxed=True).state_dict()
        assert all(torch.equal(kept[name], value) for name, value in again.state_dict().items())

    def test_run_that_was_cut_off_goes_on_where_it_was(self, tmp_path: Path) -> None:
        seen: list[int] = []

        def cut_after_first_epoch(step: int, steps: int, loss: float) -> None:
            seen.append(step)
            if step > steps // 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train_fold(films(), RECIPE, 0, tmp_path, progress=cut_after_first_epoch)
        resumed: list[int] = []
        train_fold(films(), RECIPE, 0, tmp_path, progress=lambda step, steps, loss: resumed.append(step))
        assert resumed[0] == seen[-1]

    def test_first_layers_keep_their_weights(self, tmp_path: Path) -> None:
        before = ChestNetwork(1, boxed=False).early.state_dict()
        after = train_fold(films(), replace(RECIPE, epochs=1), 0, tmp_path).early.state_dict()
        assert all(torch.equal(before[name], value) for name, value in after.items())

    def test_other_task_gives_its_layers_but_not_its_head(self, tmp_path: Path) -> None:
        train_fold(films(), replace(RECIPE, epochs=1), 0, tmp_path / "first")
        one = replace(films(), labels=("lung_opacity",), targets=films().targets[:, :1], weights=films().weights[:, :1])
        recipe = replace(RECIPE, epochs=1, start=str(tmp_path / "first"))
        network = train_fold(one, recipe, 0, tmp_path / "second")
        assert network.head.out_features == 1
        assert checkpoint_of(tmp_path / "second", 0).is_file()

    def test_an_interruption_ends_every_fold_at_once(self, tmp_path: Path) -> None:
        def interrupted(done: int, steps: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train_folds(endless, 2, tmp_path, workers=1, say=print, progress=interrupted)
        assert not active_children()
        assert not (tmp_path / "fold1.jsonl").exists()

    def test_unknown_task_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="adult, paediatric"):
            train_model("haircut", tmp_path, tmp_path, say=print)


def children(folder: Path, count: int = 36) -> Path:
    """Return a data folder in the layout of the children's films; the sick ones are brighter."""
    place = folder / "chest" / "paediatric_pneumonia"
    (place / "images").mkdir(parents=True)
    rows = ["file,group,pneumonia,kind"]
    for number in range(count):
        sick = number % 2
        picture = np.random.default_rng(number).integers(60 * sick, 160 + 60 * sick, (96, 96), np.uint8)
        cv2.imwrite(str(place / "images" / f"{number}.png"), picture)
        rows.append(f"{number}.png,child{number},{sick},{'bacteria' if sick else 'normal'}")
    (place / "labels.csv").write_text("\n".join(rows), "utf-8")
    return folder


class TestTrainModel:
    def test_ends_in_a_folder_that_serves_or_says_why_not(self, tmp_path: Path) -> None:
        said: list[str] = []
        card = train_model("paediatric", children(tmp_path / "data"), tmp_path / "out", say=said.append, epochs=1)
        loaded = Encoder.load(tmp_path / "out", threads=1).card
        assert loaded.model_dump(mode="json") == card
        assert loaded.served == ()
        assert "fewer than 40" in loaded.tried["paediatric_pneumonia"]
        assert (tmp_path / "out" / "LICENSE").is_file()
        assert said[-1].startswith("serves")
        assert measure_again(tmp_path / "out", tmp_path / "data", said.append) == loaded


def own_folder(folder: Path, count: int = 44, column: str = "fracture") -> Path:
    """Return a hospital's own folder; the broken ones are brighter."""
    (folder / "images").mkdir(parents=True)
    rows = [f"file,patient,{column},sex"]
    for number in range(count):
        broken = number % 2
        picture = np.random.default_rng(number).integers(60 * broken, 160 + 60 * broken, (96, 96), np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        rows.append(f"{number}.png,p{number},{broken},{'FM'[number // 2 % 2]}")
    (folder / "labels.csv").write_text("\n".join(rows), "utf-8")
    return folder


class TestOwnFilms:
    def test_a_hospital_s_own_set_ends_in_a_folder_that_serves_or_says_why_not(self, tmp_path: Path) -> None:
        data, steps = own_folder(tmp_path / "data"), set[tuple[int, int]]()
        card = train_model(
            "fracture",
            data,
            tmp_path / "out",
            say=lambda line: None,
            epochs=1,
            workers=1,
            progress=lambda done, whole: steps.add((done, whole)),
        )
        loaded = Encoder.load(tmp_path / "out", threads=1).card
        assert (loaded.id, loaded.enabled, loaded.licence) == (
            "vision-fracture",
            True,
            "the site's own; not for others",
        )
        assert "fewer than 40" in loaded.tried["fracture"]
        assert max(done for done, _ in steps) <= max(whole for _, whole in steps)
        figures = evaluate(data, model=tmp_path / "out")["fracture"]
        assert figures["out_of_fold"]
        assert figures["findings"]["fracture"]["auroc"] == card["metrics"]["fracture"]["auroc"]

    @pytest.mark.parametrize(("count", "column"), [(12, "fracture"), (44, "telepathy")])
    def test_films_that_are_too_few_or_have_no_label_of_the_task_are_refused(
        self, tmp_path: Path, count: int, column: str
    ) -> None:
        data = own_folder(tmp_path / "data", count, column)
        with pytest.raises(ValueError, match="fracture"):
            train_model("fracture", data, tmp_path / "out", say=print)

    def test_trunk_of_which_nothing_is_trained_is_shared_whole(self) -> None:
        trunk = Trunk(fixed=BLOCKS)
        network = ChestNetwork(1, boxed=False, trunk=trunk).eval()
        trained = {name for name, weights in network.named_parameters() if weights.requires_grad}
        assert trained == {"head.weight", "head.bias", "place.weight", "place.bias"}
        whole = ChestNetwork(1, boxed=False).eval()
        images = torch.rand(1, 3, 64, 64)
        with torch.inference_mode():
            features = [each.late(each.early(images)) for each in (network, whole)]
        assert torch.allclose(*features, atol=1e-5)

    def test_cut_trunk_has_a_finer_map(self) -> None:
        with torch.inference_mode():
            network = ChestNetwork(1, boxed=True, trunk=Trunk(blocks=11)).eval()
            assert network.late(network.early(torch.rand(1, 3, 64, 64))).shape == (1, 112, 4, 4)


class TestExport:
    def test_int8_takes_half_the_space_and_gives_nearly_the_same(self, tmp_path: Path) -> None:
        members, preparation = [ChestNetwork(1, boxed=False).eval()], Preparation(size=64)
        film, *others = (prepared(golden_film(side), preparation)[None] for side in (80, 90, 100))
        with torch.inference_mode():
            expected = members[0](torch.from_numpy(film)).numpy()
        openvino.save_model(converted(members[0], film.shape), tmp_path / "fp16.xml", compress_to_fp16=True)
        for name, inputs in (("weights", None), ("arithmetic", others)):
            export(members, 64, tmp_path / name, inputs=inputs)
            weights = tmp_path / name / "model.bin"
            assert weights.stat().st_size < 0.65 * (tmp_path / "fp16.bin").stat().st_size
            found = openvino.Core().compile_model(tmp_path / name / "model.xml", "CPU")(film)["logits"][:, 0]
            assert 1 / (1 + np.exp(-found)) == pytest.approx(1 / (1 + np.exp(-expected)), abs=0.02), name

    def test_with_inputs_large_convolutions_run_in_int8(self, tmp_path: Path) -> None:
        film = prepared(golden_film(80), Preparation(size=64))[None]
        export([ChestNetwork(1, boxed=False).eval()], 64, tmp_path, inputs=[film])
        model = openvino.Core().read_model(tmp_path / "model.xml")
        large = [layer for layer in model.get_ordered_ops() if layer.get_type_name() == "Convolution"]
        fed = [layer.input_value(0).get_node().get_type_name() for layer in large]
        assert fed.count("FakeQuantize") > len(large) / 2

    def test_converted_networks_give_what_they_gave(self) -> None:
        members = [ChestNetwork(2, boxed=True).eval(), ChestNetwork(2, boxed=True).eval()]
        film = np.random.default_rng(0).random((90, 80), np.float32)
        image = prepared(film, Preparation(size=64))[None]
        ensemble = ExportedEnsemble(members).eval()
        with torch.inference_mode():
            expected, single = ensemble(torch.from_numpy(image)), members[0](torch.from_numpy(image))
        found = openvino.Core().compile_model(converted(ensemble, image.shape), "CPU")(image)
        for number, tensor in enumerate(expected):
            assert found[number] == pytest.approx(tensor.numpy(), abs=0.05)
        assert found[0][0, 0] == pytest.approx(single.numpy()[0], abs=0.05)

    def test_local_finding_is_the_smooth_maximum_of_its_map_and_a_global_one_the_mean(self) -> None:
        network = ChestNetwork(2, boxed=True).eval()
        maps = torch.zeros(1, 2, 7, 7)
        maps[:, :, 3, 3] = 10
        local, whole = network.pooled(maps)[0].tolist()
        assert whole == pytest.approx(10 / 49)
        assert local > 5

    def test_map_of_a_global_finding_has_its_logit_as_mean(self) -> None:
        network = ChestNetwork(2, boxed=True).eval()
        with torch.inference_mode():
            logits, maps, _ = ExportedEnsemble([network]).eval()(torch.rand(1, 3, 64, 64))
        assert maps[0, 0, 1].mean().item() == pytest.approx(logits[0, 0, 1].item(), abs=1e-4)

    def test_without_boxes_every_map_is_that_of_the_head(self) -> None:
        network = ChestNetwork(2, boxed=False).eval()
        with torch.inference_mode():
            features = network.late(network.early(torch.rand(1, 3, 64, 64)))
            assert network(torch.rand(1, 3, 64, 64)).shape == (1, 2)
            whole = network.head(features.mean((2, 3)))
            assert network.pooled(network.maps(features))[0].tolist() == pytest.approx(whole[0].tolist(), abs=1e-4)


class TestAnatomy:
    def test_the_heart_is_not_asked_for_where_it_was_not_outlined(self) -> None:
        maps = torch.full((1, 32, 32), NOT_LUNG, dtype=torch.uint8)
        maps[:, 4:20, 4:12] = LEFT_OF_PICTURE
        said = torch.full((1, 4, 16, 16), -6.0)
        said[:, 0] = 6
        heart = said.clone()
        heart[:, 3, 10:, 8:] = 12
        assert outline_loss(heart, maps) == pytest.approx(float(outline_loss(said, maps)), abs=1e-3)
        known = torch.where(maps == NOT_LUNG, BACKGROUND, maps)
        assert outline_loss(heart, known) > outline_loss(said, known) + 0.5

    def test_a_better_outline_costs_less(self) -> None:
        maps = torch.zeros((1, 32, 32), dtype=torch.uint8)
        maps[:, 4:20, 4:12] = LEFT_OF_PICTURE
        right, none = torch.zeros(1, 4, 32, 32), torch.zeros(1, 4, 32, 32)
        right.scatter_(1, maps[:, None].long(), 8.0)
        none[:, 0] = 8
        assert outline_loss(right, maps) < 0.2 * outline_loss(none, maps)

    def test_in_a_mirrored_film_the_lungs_change_their_names(self) -> None:
        labels = np.array([[LEFT_OF_PICTURE, BACKGROUND, HEART, RIGHT_OF_PICTURE, NOT_LUNG]], np.uint8)
        expected = [[NOT_LUNG, LEFT_OF_PICTURE, HEART, BACKGROUND, RIGHT_OF_PICTURE]]
        assert mirrored(labels).tolist() == expected

    def test_the_outline_moves_with_the_film(self) -> None:
        film = np.zeros((96, 96), np.uint8)
        film[20:70, 15:45] = 200
        labels = np.where(film > 0, LEFT_OF_PICTURE, BACKGROUND).astype(np.uint8)
        augment = OutlineAugmentation(Preparation(size=96), 3)
        overlaps = []
        for _ in range(20):
            image, moved = augment(film, labels)
            assert set(np.unique(moved)) <= {BACKGROUND, LEFT_OF_PICTURE, RIGHT_OF_PICTURE}
            lung = moved != BACKGROUND
            bright = image[0] > (image[0][lung].mean() + image[0][~lung].mean()) / 2 if lung.any() else lung
            overlaps.append((bright & lung).sum() / max((bright | lung).sum(), 1))
        assert np.median(overlaps) > 0.75

    def test_a_run_ends_in_a_folder_that_serves_and_goes_on_where_it_was_cut_off(self, tmp_path: Path) -> None:
        recipe = AnatomyRecipe(size=64, folds=2, epochs=2, batch=2, rates=(("jsrt", 1.0), ("shenzhen", 1.0)))
        outlined = drawn_outlines(tmp_path / "films")
        checkpoints = tmp_path / "checkpoints"
        films = outline_set(outlined, recipe)
        train_outlines(films, replace(recipe, epochs=1), 0, checkpoints)
        steps: list[int] = []
        train_outlines(films, recipe, 0, checkpoints, progress=lambda step, *_: steps.append(step))
        assert steps == list(range(steps[-1] // 2 + 1, steps[-1] + 1))
        train_outlines(films, recipe, 1, checkpoints)
        card = finish(outlined, recipe, checkpoints, tmp_path / "model", {}, lambda _: None)
        assert AnatomyModel.load(tmp_path / "model", threads=1).card == card
        assert (card.members, card.metrics["jsrt"]["films"]) == (2, 4)


def drawn_outlines(folder: Path) -> OutlinedFilms:
    """Return four drawn films of each source with the outlines of their lungs."""
    folder.mkdir()
    images, masks = [], []
    for number in range(8):
        film, mask = np.full((64, 64), 200, np.uint8), np.zeros((64, 64), np.uint8)
        film[10:50, 8:28], film[10:50, 36:56] = 60, 60
        mask[10:50, 8:28], mask[10:50, 36:56] = (1, 2) if number < 4 else (1, 1)
        film[number, number] = 255
        images.append(folder / f"{number}.png")
        masks.append(folder / f"{number}m.png")
        cv2.imwrite(str(images[-1]), film)
        cv2.imwrite(str(masks[-1]), mask)
    sources = np.array(["jsrt"] * 4 + ["shenzhen"] * 4)
    return OutlinedFilms(tuple(images), tuple(masks), sources, np.array([f"film:{number}" for number in range(8)]))
