"""Scores -> findings: what may be served, corrected to the site's prevalence, against its operating point.

Knows no pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vision.card import ModelCard
from vision.encode import Encoding
from vision.result import Finding, ModelRef

Floats = NDArray[np.float32]

_CERTAIN = 1e-6
"""Closest that a probability comes to 0 or 1."""


def findings_of(
    encoding: Encoding, card: ModelCard, ref: ModelRef, prevalence: Mapping[str, float], cut_offs: Mapping[str, float]
) -> tuple[Finding, ...]:
    """Return a finding for each label that the card allows to be served, in the order of the card.

    prevalence  of findings at the site; without one for a finding its score is not turned into a probability
    cut_offs    in force for this film; a finding without one gets no label
    """
    return tuple(
        _finding(key, encoding.scores[key], card, ref, prevalence.get(key), cut_offs.get(key)) for key in card.served
    )


def _finding(
    key: str, score: float, card: ModelCard, ref: ModelRef, site: float | None, threshold: float | None
) -> Finding:
    developed = card.prevalence.get(key)
    return Finding(
        key=key,
        score=score,
        probability=None if site is None or developed is None else shifted(score, developed, site),
        label=None if threshold is None else score >= threshold,
        threshold=threshold,
        model=ref,
    )


def shifted(score: float, developed: float, site: float) -> float:
    """Return a calibrated score moved from the prevalence of development to that of the site.

    By Bayes the odds are multiplied by the ratio of the prior odds (Saerens et al. 2002, Neural Computation 14:21).
    """
    return 1 / (1 + math.exp(-(_logit(score) + _logit(site) - _logit(developed))))


def to_show(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings to show on the film: those above their cut-off, or else the one nearest to it."""
    above = [finding for finding in findings if finding.label]
    if above:
        return sorted(above, key=_margin, reverse=True)
    return [max(findings, key=_margin)] if findings else []


def above_cut_off(key: str, encoding: Encoding, card: ModelCard, findings: Sequence[Finding]) -> Floats | None:
    """Return by how much each place of a finding's map [h, w] lies above its cut-off, in logits; None without one."""
    cut_off = next((finding.threshold for finding in findings if finding.key == key), None)
    if cut_off is None:
        return None
    fitted = card.calibration[key]
    margin: Floats = (fitted.slope * encoding.maps[key] + fitted.intercept - _logit(cut_off)).astype(np.float32)
    return margin


def strength_of(finding: Finding) -> float:
    """Return how strongly a finding is drawn on the film: in full above its cut-off, else by its score."""
    return 1.0 if finding.label else finding.score


def _margin(finding: Finding) -> float:
    """Return how far a score lies above its cut-off, in logits; half stands in where none ships."""
    return _logit(finding.score) - _logit(0.5 if finding.threshold is None else finding.threshold)


def _logit(share: float) -> float:
    bounded = min(max(share, _CERTAIN), 1 - _CERTAIN)
    return math.log(bounded / (1 - bounded))
