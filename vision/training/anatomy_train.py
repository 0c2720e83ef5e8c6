"""Trains the networks that outline lungs and heart: one per fold, with checkpoints, resumable.

Shenzhen has no outline of the heart: outside its lungs it is only known that there is no lung, and the loss asks no
more.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vision.evaluation.films import folds_of
from vision.evaluation.outlines import BACKGROUND, HEART, NOT_LUNG, LabelMap, OutlinedFilms
from vision.prepare import Preparation
from vision.training.anatomy_augment import OutlineAugmentation
from vision.training.anatomy_network import AnatomyNetwork, FixedEncoder
from vision.training.datasets import film_of
from vision.training.export import converted
from vision.training.folds import StepProgress
from vision.training.schedule import checkpoint_of, resume, save, update_average, warm_cosine

_SMOOTH = 1.0


@dataclass(frozen=True)
class AnatomyRecipe:
    """Everything that decides a training run.

    rates     how often a film of each source is shown per epoch
    held_out  whether the network of a fold is trained without its films; False: on all of them
    """

    size: int = 192
    folds: int = 3
    epochs: int = 24
    batch: int = 16
    rates: tuple[tuple[str, float], ...] = (("jsrt", 3.0), ("shenzhen", 0.6))
    held_out: bool = True
    rate: float = 1.5e-3
    weight_decay: float = 0.02
    ema: float = 0.98
    seed: int = 7


@dataclass(frozen=True)
class OutlineSet:
    """Films and label maps as arrays.

    films, maps  uint8 [N, side, side]
    rates        float64 [N], how often a film is shown per epoch
    """

    films: NDArray[np.uint8]
    maps: NDArray[np.uint8]
    rates: NDArray[np.float64]
    groups: NDArray[np.str_]


def outline_set(outlined: OutlinedFilms, recipe: AnatomyRecipe) -> OutlineSet:
    """Return outlined films with their pixels, read from disk. Raises FileNotFoundError when one cannot be read."""
    films = np.stack([film_of(path) for path in outlined.images])
    side = films.shape[1]
    maps = [_sized(outlined.map_of(row), side) for row in range(len(films))]
    rates = dict(recipe.rates)
    return OutlineSet(films, np.stack(maps), np.array([rates[source] for source in outlined.sources]), outlined.groups)


def _sized(labels: LabelMap, side: int) -> LabelMap:
    """Return a label map of another side; no border moves by a fraction of a pixel, as it would by picking pixels."""
    if labels.shape == (side, side):
        return labels
    shares = [cv2.GaussianBlur((labels == label).astype(np.float32), (0, 0), 1) for label in range(NOT_LUNG + 1)]
    sized = [cv2.resize(share, (side, side), interpolation=cv2.INTER_AREA) for share in shares]
    likeliest: LabelMap = np.argmax(sized, 0).astype(np.uint8)
    return likeliest


def train_fold(
    films: OutlineSet, recipe: AnatomyRecipe, fold: int, folder: Path, *, progress: StepProgress | None = None
) -> AnatomyNetwork:
    """Train the network of one fold and return its averaged weights.

    folder    holds `fold<k>.pt`: written after every epoch; a run that was cut off goes on from there
    progress  called with (step, steps, loss)
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed + fold)
    index = np.flatnonzero((folds_of(films.groups, recipe.folds) != fold) | (not recipe.held_out))
    network = AnatomyNetwork()
    network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network)
    average.eval()
    early = _FixedFeatures(network.early, recipe.size)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=recipe.rate, weight_decay=recipe.weight_decay)
    steps_per_epoch = max(1, int(films.rates[index].sum()) // recipe.batch)
    steps = steps_per_epoch * recipe.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warm_cosine(step, steps))
    checkpoint = checkpoint_of(folder, fold)
    first = resume(checkpoint, network, average, optimiser, schedule)
    augment = OutlineAugmentation(Preparation(size=recipe.size), recipe.seed * 1000 + fold * 100 + first)
    random = np.random.default_rng((recipe.seed, fold, first))
    for epoch in range(first, recipe.epochs):
        network.train()
        order = _order(films.rates, index, random)
        for number in range(steps_per_epoch):
            rows = order.take(range(number * recipe.batch, (number + 1) * recipe.batch), mode="wrap")
            images, maps = zip(*(augment(films.films[row], films.maps[row]) for row in rows), strict=True)
            loss = outline_loss(network.outline(*early(np.stack(images))), torch.from_numpy(np.stack(maps)))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            update_average(average, network, recipe.ema, epoch * steps_per_epoch + number)
            if progress is not None:
                progress(epoch * steps_per_epoch + number + 1, steps, float(loss.detach()))
        save(checkpoint, network, average, optimiser, schedule, epoch + 1)
    return average


def load_fold(folder: Path, fold: int) -> AnatomyNetwork:
    """Return the averaged network of a finished fold."""
    network = AnatomyNetwork()
    network.load_state_dict(torch.load(checkpoint_of(folder, fold), weights_only=True)["average"])
    network.eval()
    return network


def outline_loss(logits: Tensor, maps: Tensor) -> Tensor:
    """Return cross-entropy plus one minus the mean Dice of the structures.

    logits  [N, STRUCTURES, h, w]
    maps    uint8 [N, H, W]; where `NOT_LUNG` stands, background and heart are both right
    """
    logits = nn.functional.interpolate(logits, size=maps.shape[-2:], mode="bilinear", align_corners=False)
    spoken = logits.log_softmax(1)
    loose = maps == NOT_LUNG
    outside = torch.logsumexp(spoken[:, [BACKGROUND, HEART]], 1)
    wanted = maps.masked_fill(loose, BACKGROUND).long()
    right = torch.where(loose, outside, spoken.gather(1, wanted[:, None])[:, 0])
    structures = nn.functional.one_hot(wanted, logits.shape[1]).permute(0, 3, 1, 2)[:, 1:]
    found = spoken[:, 1:].exp()
    both = (found * structures).sum((2, 3))
    sizes = found.sum((2, 3)) + structures.sum((2, 3))
    dice = (2 * both + _SMOOTH) / (sizes + _SMOOTH)
    known = torch.ones_like(dice)
    known[loose.flatten(1).any(1), HEART - 1] = 0
    return -right.mean() + 1 - (dice * known).sum() / known.sum()


class _FixedFeatures:
    """The layers that are not trained, run by OpenVINO: many times faster here than torch."""

    def __init__(self, early: FixedEncoder, size: int) -> None:
        model = converted(copy.deepcopy(early), [-1, 3, size, size])
        self._compiled = openvino.Core().compile_model(
            model, "CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"}
        )

    def __call__(self, images: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        given = self._compiled(images)
        quarter, eighth = (torch.from_numpy(np.array(given[number])) for number in range(2))
        last = torch.channels_last
        return quarter.contiguous(memory_format=last), eighth.contiguous(memory_format=last)


def _order(rates: NDArray[np.float64], index: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Return the films of one epoch in random order, each as often as its rate says on average."""
    times = np.floor(rates[index] + random.random(len(index))).astype(int)
    order: NDArray[np.int64] = random.permutation(np.repeat(index, times))
    return order
