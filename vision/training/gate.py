"""Train, export and evaluate the gate: `python -m vision.training.gate --data DIR [--output FOLDER]`.

Without --output it prints the figures of the packaged gate again; with --record it also writes them into its card.
The backbone stays as ImageNet left it; learned are a linear layer over kinds of picture, one over PA and AP, and where
in feature space chest films lie.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression

from vision.card import hashes, write_card
from vision.gate import GATE
from vision.gate_card import GateCard, Golden, read_card
from vision.prepare import Preparation, golden_film, prepared
from vision.training.backbone import pretrained
from vision.training.gate_evaluation import evaluate, figures
from vision.training.gate_pictures import Picture, pictures
from vision.training.gate_variations import MISTAKES, mistaken, varied

KINDS = ("chest", *MISTAKES, "limb", "breast", "slice", "other")
COPIES = {"chest": 2, "limb": 12, "breast": 10, "slice": 4, "other": 2}
"""Varied copies of each picture to learn from."""
MISTAKES_EACH = 2
"""Mistakes made of each chest film."""
PROTOTYPES, NEAREST = 64, 3
"""Directions in feature space that stand for the chest films, and how many of them a picture is compared with."""
ACCEPT_ABOVE = 0.3
"""Probability of a chest film from which a picture is accepted; the kinds lie so far apart that little hangs on it."""
ACCEPTED = 0.985
"""Share of the varied copies of calibration films, harder than the films themselves, that the distance lets through."""
REGULARISATION = 0.01
BATCH = 16

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Samples:
    """Features [N, 1280] of films and their variations, with kind, source, split and view of each."""

    features: Features
    kinds: NDArray[np.str_]
    sources: NDArray[np.str_]
    splits: NDArray[np.str_]
    views: NDArray[np.str_]
    clean: NDArray[np.bool_]

    def of(self, chosen: NDArray[np.bool_]) -> Samples:
        return Samples(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


class Heads(torch.nn.Module):  # type: ignore[misc]
    """Backbone, kinds, view and distance as one graph.

    forward: images [N, 3, H, W] -> logits [N, kinds], distance [N], view logit (AP) [N]
    """

    def __init__(self, kinds: LogisticRegression, view: LogisticRegression, prototypes: Features) -> None:
        super().__init__()
        self.backbone = pretrained()
        self.kinds = _linear(kinds.coef_, kinds.intercept_)
        self.view = _linear(view.coef_, view.intercept_)
        self.register_buffer("prototypes", torch.from_numpy(prototypes))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        features = self.backbone.extract_features(images).mean((2, 3))
        alike = torch.nn.functional.normalize(features) @ self.prototypes.T
        distance = 1 - alike.topk(NEAREST, dim=1).values.mean(1)
        return self.kinds(features), distance, self.view(features)[:, 0]


def _linear(weight: NDArray[np.float64], bias: NDArray[np.float64]) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data = torch.from_numpy(weight.astype(np.float32))
    layer.bias.data = torch.from_numpy(bias.astype(np.float32))
    return layer


def extractor(threads: int) -> ov.CompiledModel:
    """Return the ImageNet backbone as an OpenVINO model: images [N, 3, 224, 224] -> features [N, 1280]."""

    class Mean(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.backbone = pretrained()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.backbone.extract_features(images).mean((2, 3))

    model = ov.convert_model(Mean().eval(), example_input=torch.zeros(1, 3, 224, 224))
    return ov.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"})


def samples(chosen: list[Picture], threads: int) -> Samples:
    """Return features of the pictures to learn from and to calibrate on, of varied copies and of mistakes."""
    network, preparation = extractor(threads), Preparation()
    rows: list[tuple[str, str, str, str, bool]] = []
    features: list[Features] = []
    batch: list[Features] = []
    for position, picture in enumerate(chosen):
        if picture.split not in ("train", "calibration"):
            continue
        for kind, clean, film in _variants(picture, np.random.default_rng(position)):
            rows.append((kind, picture.source, picture.split, picture.view or "", clean))
            batch.append(prepared(film, preparation))
            if len(batch) == BATCH:
                features.append(network(np.stack(batch))[0])
                batch = []
        if position % 500 == 0:
            print(f"{position}/{len(chosen)} pictures", flush=True)
    if batch:
        features.append(network(np.stack(batch))[0])
    kinds, sources, splits, views, clean_rows = zip(*rows, strict=True)
    columns = (np.array(column) for column in (kinds, sources, splits, views, clean_rows))
    return Samples(np.concatenate(features).astype(np.float32), *columns)


def _variants(picture: Picture, random: np.random.Generator) -> list[tuple[str, bool, Features]]:
    film = picture.load()
    found = [(picture.kind, True, film)]
    copies = COPIES[picture.kind] if picture.split == "train" else 1
    found += [(picture.kind, False, varied(film, random)) for _ in range(copies)]
    if picture.kind == "chest":
        made = random.choice(MISTAKES, MISTAKES_EACH, replace=False)
        found += [(str(mistake), False, mistaken(varied(film, random), str(mistake), random)) for mistake in made]
    return found


def fit(learned: Samples, held: Samples) -> tuple[Heads, dict[str, float]]:
    """Return the trained heads and the two thresholds; the distance is set on the films held for calibration."""
    kinds = _logistic(learned.features, learned.kinds, order=KINDS)
    seen = learned.of(np.isin(learned.views, ["PA", "AP"]) & (learned.kinds == "chest"))
    view = _logistic(seen.features, seen.views, order=("PA", "AP"))
    prototypes = _prototypes(learned.features[learned.kinds == "chest"])
    heads = Heads(kinds, view, prototypes)
    chest = held.of((held.kinds == "chest") & ~held.clean)
    distance = 1 - np.sort(_unit(chest.features) @ prototypes.T, axis=1)[:, -NEAREST:].mean(1)
    return heads, {"accept_above": ACCEPT_ABOVE, "refuse_beyond": round(float(np.quantile(distance, ACCEPTED)), 4)}


def _logistic(features: Features, classes: NDArray[np.str_], order: tuple[str, ...]) -> LogisticRegression:
    """Return a logistic regression on raw features, fitted on standardised ones, with its rows in `order`."""
    mean, spread = features.mean(0), features.std(0) + 1e-3
    codes = np.array([order.index(name) for name in classes])
    model = LogisticRegression(C=REGULARISATION, max_iter=400, class_weight="balanced")
    model.fit((features - mean) / spread, codes)
    model.coef_ = model.coef_ / spread
    model.intercept_ = model.intercept_ - model.coef_ @ mean
    return model


def _prototypes(films: Features) -> Features:
    """Return unit vectors [64, 1280]: the means of groups of alike films, none of which is a film of its own."""
    groups = MiniBatchKMeans(PROTOTYPES, random_state=0, n_init=3, batch_size=2048).fit(_unit(films))
    return _unit(groups.cluster_centers_.astype(np.float32))


def _unit(features: Features) -> Features:
    scaled: Features = features / np.linalg.norm(features, axis=1, keepdims=True)
    return scaled


def export(heads: Heads, folder: Path) -> Golden:
    """Write the graph with 16-bit weights; return what it gives for the golden film."""
    side = Preparation().size
    model = ov.convert_model(heads.eval(), example_input=torch.zeros(1, 3, side, side), input=[-1, 3, side, side])
    for output, name in zip(model.outputs, ("logits", "distance", "view"), strict=True):
        output.tensor.set_names({name})
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, folder / "model.xml", compress_to_fp16=True)
    compiled = ov.Core().compile_model(folder / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    given = compiled(prepared(golden_film(side), Preparation())[None])
    return Golden(
        logits=tuple(round(float(n), 4) for n in given["logits"][0]),
        distance=round(float(given["distance"][0]), 4),
        view=round(float(given["view"][0]), 4),
    )


def _loaded(cache: Path | None, chosen: list[Picture], threads: int) -> Samples:
    if cache is not None and cache.is_file():
        with np.load(cache) as stored:
            return Samples(**stored)
    made = samples(chosen, threads)
    if cache is not None:
        np.savez(cache, **made.__dict__)
    return made


def train(data: Path, folder: Path, *, threads: int, cache: Path | None) -> None:
    """Train on the films under `data` and write a model folder with its card."""
    chosen = pictures(data)
    found = _loaded(cache, chosen, threads)
    heads, thresholds = fit(found.of(found.splits == "train"), found.of(found.splits == "calibration"))
    card = GateCard(
        id="gate",
        version="1.0.0",
        title="Frontal chest film, or not",
        licence="research and non-commercial, see LICENSE",
        input=Preparation().as_card(),
        kinds=KINDS,
        **thresholds,
        view_above=None,
        golden=export(heads, folder),
        files=hashes(folder),
        training_data=_training_data(chosen),
        acceptance={},
        refusal={},
        view={},
        limits=LIMITS,
        printed_by="python -m vision.training.gate --data DIR",
    )
    write_card(folder, card)


LIMITS = (
    "No lateral chest film, abdomen, pelvis or skull was at hand: without a header such a film is refused only by its "
    "distance from chest films. Kinds that the distance has never seen (limbs, breasts, cross-sections, photographs) "
    "are refused by it alone in 79 to 100 % of cases, see share_by_distance_alone; kinds closer to a chest may not be. "
    "Chest films with many arrows or boxes burned in, or with large implants, are sometimes refused.",
    "Cross-sections and drawings are mostly synthetic; photographs are those that come inside Python packages.",
    "PA and AP are told apart well on the set they were learned from and hardly better than by chance on another, so "
    "the view of a film without header is said to be unknown.",
    "The two thresholds were widened once after a first look at the unseen films, by the calibration films alone.",
    "A mirrored film is not told from a true one.",
)


def _training_data(chosen: list[Picture]) -> tuple[dict[str, Any], ...]:
    learned = [picture for picture in chosen if picture.split in ("train", "calibration")]
    names = sorted({(picture.kind, picture.source) for picture in learned})
    counts = {name: sum((p.kind, p.source) == name for p in learned) for name in names}
    return tuple({"kind": kind, "source": source, "pictures": n} for (kind, source), n in counts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the development data")
    parser.add_argument("--output", type=Path, help="train, and write the model folder here")
    parser.add_argument("--record", action="store_true", help="write the figures into the card")
    parser.add_argument("--cache", type=Path, help="file that keeps the features (.npz)")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    folder = arguments.output or GATE
    if arguments.output is not None:
        train(arguments.data, folder, threads=arguments.threads, cache=arguments.cache)
    found = figures(evaluate(folder, pictures(arguments.data), arguments.threads))
    if arguments.record or arguments.output is not None:
        write_card(folder, read_card(folder).model_copy(update=found))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
