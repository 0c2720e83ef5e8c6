"""What a packaged model would say of a film whose truth is known, by the figures of its card.

For each finding with a cut-off the card gives sensitivity and specificity. They are taken as one point of a binormal
ROC curve of equal variances (Green and Swets 1966, chapter 3): evidence x is drawn from N(d, 1) where the finding is
there and from N(0, 1) where it is not, d = z(sensitivity) + z(specificity), and the film is above the cut-off when x
is above z(specificity). So the drawn results have exactly the card's sensitivity and specificity, and the score is the
calibrated chance of the finding at the prevalence of the simulation. Evidence on different findings is independent
given the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist

import numpy as np

from cds.simulation.arrivals import Arrival
from vision import ImagingResult
from vision.card import ModelCard, read_card
from vision.result import Finding, ModelRef

_z = NormalDist().inv_cdf
_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class OperatingPoint:
    """Of one finding: the card's cut-off, sensitivity and specificity, and its share of films."""

    threshold: float
    sensitivity: float
    specificity: float
    prevalence: float


class Detector:
    """Draws a model's results of films."""

    def __init__(self, points: Mapping[str, OperatingPoint], model: ModelRef) -> None:
        self.points = dict(points)
        self._model = model

    @classmethod
    def of_card(cls, folder: Path, prevalence: Mapping[str, float] | None = None) -> Detector:
        """Return the detector of a model folder; `prevalence` stands in place of that of development.

        Raises vision.ModelVerificationError when the card cannot be read.
        """
        card: ModelCard = read_card(folder)
        points = {
            key: OperatingPoint(
                threshold=float(card.thresholds[key]["value"]),
                sensitivity=float(card.thresholds[key]["sensitivity"]["value"]),
                specificity=float(card.thresholds[key]["specificity"]["value"]),
                prevalence=(prevalence or {}).get(key, card.prevalence[key]),
            )
            for key in card.served
            if key in card.thresholds
        }
        return cls(points, ModelRef(id=card.id, version=card.version, sha256=card.sha256))

    def result(self, film: Arrival, rng: np.random.Generator) -> ImagingResult:
        """Return what the model says of a film; where the film carries scores, those."""
        drawn = rng.standard_normal(len(self.points))
        findings = tuple(
            self._finding(key, point, key in film.findings, float(noise), film.scores)
            for (key, point), noise in zip(self.points.items(), drawn, strict=True)
        )
        return ImagingResult(findings=findings, analysed_at=_AT)

    def _finding(
        self, key: str, point: OperatingPoint, there: bool, noise: float, scores: Mapping[str, float] | None
    ) -> Finding:
        if scores is not None and key in scores:
            score, label = scores[key], scores[key] >= point.threshold
        else:
            distance = _z(point.sensitivity) + _z(point.specificity)
            evidence = noise + (distance if there else 0.0)
            prior = np.log(point.prevalence / (1 - point.prevalence))
            score = float(1 / (1 + np.exp(-(prior + distance * evidence - distance**2 / 2))))
            label = evidence >= _z(point.specificity)
        return Finding(key=key, score=score, label=bool(label), threshold=point.threshold, model=self._model)
