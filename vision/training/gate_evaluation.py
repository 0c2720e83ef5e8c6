"""How often the packaged gate is right on pictures it has not learned from, by source and by kind, with counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from vision.gate import NOT_CHEST, Gate
from vision.radiograph import Radiograph
from vision.technique import Technique
from vision.training.gate_pictures import Picture
from vision.training.gate_variations import MISTAKES, mistaken, varied

_UNSEEN = ("test", "evaluation")
_RESAMPLES = 1000


@dataclass(frozen=True)
class Row:
    """The gate's word on one picture; `code` None means accepted."""

    kind: str
    source: str
    code: str | None
    too_far: bool
    view: str | None
    ap: float | None
    clean: bool


def evaluate(folder: Path, chosen: list[Picture], threads: int) -> list[Row]:
    """Return the gate's word on every unseen picture, on a varied copy, and on one mistake made of each chest film."""
    gate = Gate.load(folder, threads)
    rows = []
    for position, picture in enumerate(chosen):
        if picture.split in _UNSEEN:
            rows += [_row(gate, picture, *made) for made in _made(picture, np.random.default_rng(position))]
    return rows


def figures(rows: list[Row]) -> dict[str, Any]:
    """Return acceptance of chest films by source, refusal of all else by kind, and how well PA and AP are told."""
    chest = [row for row in rows if row.kind == "chest"]
    sources = sorted({row.source for row in chest})
    return {
        "acceptance": {
            **{source: _accepted([row for row in chest if row.source == source]) for source in sources},
            "all": _accepted(chest),
        },
        "refusal": {kind: _refused([row for row in rows if row.kind == kind]) for kind in NOT_CHEST},
        "view": _view([row for row in chest if row.clean and row.view is not None and row.ap is not None]),
    }


def _made(picture: Picture, random: np.random.Generator) -> Iterator[tuple[str, bool, NDArray[np.float32]]]:
    film = picture.load()
    yield picture.kind, True, film
    yield picture.kind, False, varied(film, random)
    if picture.kind == "chest":
        mistake = str(random.choice(MISTAKES))
        yield mistake, True, mistaken(film, mistake, random)


def _row(gate: Gate, picture: Picture, kind: str, clean: bool, film: NDArray[np.float32]) -> Row:
    radiograph = Radiograph(
        pixels=film, sha256="", rows=film.shape[0], columns=film.shape[1], bits=8, has_metadata=False
    )
    verdict = gate.judge(radiograph, Technique())
    sight = verdict.sight
    return Row(
        kind=kind,
        source=picture.source,
        code=verdict.rejection.code if verdict.rejection else None,
        too_far=sight is None or sight.distance > gate.card.refuse_beyond,
        view=picture.view,
        ap=sight.ap if sight else None,
        clean=clean,
    )


def _accepted(rows: list[Row]) -> dict[str, Any]:
    clean, changed = ([row for row in rows if row.clean is wanted] for wanted in (True, False))
    return {
        "films": len(clean),
        "accepted": sum(row.code is None for row in clean),
        "share": _share(row.code is None for row in clean),
        "share_of_varied_copies": _share(row.code is None for row in changed),
    }


def _refused(rows: list[Row]) -> dict[str, Any]:
    expected = {NOT_CHEST[row.kind][0] for row in rows}
    clean, changed = ([row for row in rows if row.clean is wanted] for wanted in (True, False))
    return {
        "pictures": len(clean),
        "refused": sum(row.code is not None for row in clean),
        "share": _share(row.code is not None for row in clean),
        "share_with_its_own_reason": _share(row.code in expected for row in clean),
        "share_of_varied_copies": _share(row.code is not None for row in changed),
        "share_by_distance_alone": _share(row.too_far for row in clean),
    }


def _share(hits: Iterator[bool]) -> float | None:
    found = list(hits)
    return round(sum(found) / len(found), 4) if found else None


def _view(rows: list[Row]) -> dict[str, Any]:
    sources = sorted({row.source for row in rows})
    by_source = {source: _auroc([row for row in rows if row.source == source]) for source in sources}
    return {"auroc_of_ap": {**{name: found for name, found in by_source.items() if found}, "all": _auroc(rows)}}


def _auroc(rows: list[Row]) -> dict[str, Any] | None:
    """Return the AUROC of AP against PA with a 95 % interval by resampling films; None with one view only."""
    truth, score = np.array([row.view == "AP" for row in rows]), np.array([row.ap for row in rows])
    if truth.all() or not truth.any():
        return None
    random = np.random.default_rng(0)
    resampled: list[float] = []
    while len(resampled) < _RESAMPLES:
        drawn = random.integers(0, len(rows), len(rows))
        if truth[drawn].any() and not truth[drawn].all():
            resampled.append(float(roc_auc_score(truth[drawn], score[drawn])))
    low, high = np.percentile(resampled, (2.5, 97.5))
    said = (score >= 0.9) | (score <= 0.1)
    return {
        "films": len(rows),
        "ap": int(truth.sum()),
        "auroc": round(float(roc_auc_score(truth, score)), 3),
        "interval_95": [round(float(low), 3), round(float(high), 3)],
        "share_said": round(float(said.mean()), 3),
        "right_where_said": round(float(((score > 0.5) == truth)[said].mean()), 3),
    }
