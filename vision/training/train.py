"""Trains the networks of one task: one per fold, with checkpoints, resumable.

Fold k of n is trained without the patients of fold k, so every film has a prediction of a network that has not seen
its patient.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vision.evaluation.films import folds_of
from vision.prepare import Preparation, Region
from vision.training.augment import Augmentation
from vision.training.datasets import STORED_SIDE, FilmSet
from vision.training.export import converted
from vision.training.network import WHOLE, ChestNetwork, EarlyLayers, Trunk
from vision.training.schedule import checkpoint_of, resume, save, update_average, warm_cosine

Progress = Callable[[int, int, float], None]
_BORDERS = {"film": 0.1, "lungs": 0.16}
"""Largest share cut off each border; of what is kept around the lungs, about the margin that serving leaves."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run.

    trunk   how much of the backbone is used, and how much of it trained
    region  what of a film is seen: all of it, or what lies around the lungs; the networks of `start`, which see all of
            it, serve beside those that see the lungs
    degrade share of films that are brought to the resolution of a worse source
    contrast share of films whose contrast is redrawn
    places  weight of the loss on the radiologists' boxes
    start   folder of checkpoints of another run; the layers of its network of the same fold are the first weights,
            its heads too where they are for the same findings; None: ImageNet
    """

    size: int = 224
    trunk: Trunk = WHOLE
    folds: int = 3
    epochs: int = 10
    batch: int = 32
    places: float = 0.5
    start: str | None = None
    rate: float = 4e-4
    weight_decay: float = 0.02
    ema: float = 0.99
    region: Region = "film"
    degrade: float = 0.5
    contrast: float = 0.0
    seed: int = 7

    @property
    def preparation(self) -> Preparation:
        """How a film becomes the input of these networks."""
        return Preparation(size=self.size, regions=(self.region,))

    @property
    def stored_side(self) -> int:
        """Side at which films are kept for training, from which augmentation cuts."""
        return self.size * STORED_SIDE // 224


def train_fold(
    films: FilmSet, recipe: Recipe, fold: int, folder: Path, *, progress: Progress | None = None
) -> ChestNetwork:
    """Train the network of one fold and return its averaged weights.

    folder    holds `fold<k>.pt`: written after every epoch; a run that was cut off goes on from there
    progress  called with (step, steps, loss)
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed + fold)
    index = np.flatnonzero(folds_of(films.groups, recipe.folds) != fold)
    network = ChestNetwork(len(films.labels), boxed=bool(films.placed.any()), trunk=recipe.trunk)
    network.to(memory_format=torch.channels_last)
    if recipe.start is not None:
        _start_from(network, checkpoint_of(Path(recipe.start), fold))
    average = copy.deepcopy(network)
    average.eval()
    early = FixedLayers(network.early, recipe.size)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=recipe.rate, weight_decay=recipe.weight_decay)
    steps_per_epoch = max(1, int(films.rate[index].sum()) // recipe.batch)
    steps = steps_per_epoch * recipe.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warm_cosine(step, steps))
    checkpoint = checkpoint_of(folder, fold)
    first = resume(checkpoint, network, average, optimiser, schedule)
    augment = Augmentation(
        recipe.preparation,
        recipe.seed * 1000 + fold * 100 + first,
        degrade=recipe.degrade,
        contrast=recipe.contrast,
        borders=_BORDERS[recipe.region],
    )
    random = np.random.default_rng((recipe.seed, fold, first))
    emphasis = _emphasis(films, index)
    for epoch in range(first, recipe.epochs):
        network.train()
        order = _order(films, index, random)
        for number in range(steps_per_epoch):
            rows = order.take(range(number * recipe.batch, (number + 1) * recipe.batch), mode="wrap")
            batch = _batch(films, rows, augment)
            loss = _step(network, early, batch, emphasis, recipe.places, optimiser)
            schedule.step()
            update_average(average, network, recipe.ema, epoch * steps_per_epoch + number)
            if progress is not None:
                progress(epoch * steps_per_epoch + number + 1, steps, loss)
        save(checkpoint, network, average, optimiser, schedule, epoch + 1)
    return average


def load_fold(labels: int, folder: Path, fold: int, *, boxed: bool, trunk: Trunk = WHOLE) -> ChestNetwork:
    """Return the averaged network of a finished fold."""
    network = ChestNetwork(labels, boxed=boxed, trunk=trunk)
    network.load_state_dict(torch.load(checkpoint_of(folder, fold), weights_only=True)["average"])
    network.eval()
    return network


@dataclass(frozen=True)
class _Batch:
    images: NDArray[np.float32]
    targets: Tensor
    weights: Tensor
    places: Tensor
    placed: Tensor


def _batch(films: FilmSet, rows: NDArray[np.int64], augment: Augmentation) -> _Batch:
    images, places = zip(*(augment(films.films[row], films.places[row]) for row in rows), strict=True)
    targets = torch.from_numpy(films.targets[rows])
    return _Batch(
        images=np.stack(images),
        targets=targets.nan_to_num(0.0),
        weights=torch.from_numpy(films.weights[rows]) * ~torch.isnan(targets),
        places=torch.from_numpy(np.stack(places)),
        placed=torch.from_numpy(films.placed[rows]),
    )


def _step(
    network: ChestNetwork,
    early: FixedLayers,
    batch: _Batch,
    emphasis: Tensor,
    places: float,
    optimiser: torch.optim.Optimizer,
) -> float:
    logits, place_logits = network.read(early(batch.images))
    raw = nn.functional.binary_cross_entropy_with_logits(logits, batch.targets, reduction="none")
    weights = batch.weights * (1 + (emphasis - 1) * batch.targets)
    loss = (raw * weights).sum() / weights.sum().clamp(min=1)
    if places and bool(batch.placed.any()):
        wanted = nn.functional.adaptive_avg_pool2d(batch.places[:, None], place_logits.shape[-2:])[:, 0]
        found = nn.functional.binary_cross_entropy_with_logits(
            place_logits[batch.placed], wanted[batch.placed], pos_weight=torch.tensor(3.0)
        )
        loss = loss + places * found
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    return float(loss.detach())


class FixedLayers:
    """The layers that are not trained, run by OpenVINO: many times faster here than torch."""

    def __init__(self, early: EarlyLayers, size: int) -> None:
        model = converted(copy.deepcopy(early), [-1, 3, size, size])
        self._compiled = openvino.Core().compile_model(
            model, "CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"}
        )

    def __call__(self, images: NDArray[np.float32]) -> Tensor:
        features = torch.from_numpy(np.array(self._compiled(images)[0]))
        return features.contiguous(memory_format=torch.channels_last)


def _start_from(network: ChestNetwork, path: Path) -> None:
    """Take the layers of another network, and its heads where they are for as many findings."""
    state = torch.load(path, weights_only=True)["average"]
    same = state["head.bias"].shape == network.head.bias.shape
    kept = {name: value for name, value in state.items() if same or not name.startswith(("head.", "place."))}
    network.load_state_dict(kept, strict=False)


def _emphasis(films: FilmSet, index: NDArray[np.int64]) -> Tensor:
    """Return per label how much more a positive counts, up to 4, so that rare findings are learned too."""
    targets = films.targets[index]
    positives = np.nansum(targets, 0)
    negatives = np.nansum(1 - targets, 0)
    return torch.from_numpy(np.clip(np.sqrt(negatives / np.maximum(positives, 1)), 1, 4).astype(np.float32))


def _order(films: FilmSet, index: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Return the films of one epoch in random order, each as often as its rate says on average."""
    times = np.floor(films.rate[index] + random.random(len(index))).astype(int)
    order: NDArray[np.int64] = random.permutation(np.repeat(index, times))
    return order
