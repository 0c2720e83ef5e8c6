"""One probability of a finding from the film's score and the report's assertion, fitted on a site's own pairs.

None is packaged: no films with reports and independent truth are at hand. Until a site has fitted one, score and
assertion are shown side by side. Answers with either missing, by coefficients fitted for that case.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from fusion.assessment import FindingView
from fusion.errors import EvaluationError, ModelVerificationError
from fusion.risks.card import ModelCard, read_card, verify_files, verify_output

NAME = "findings"
COEFFICIENTS = "coefficients.json"
ASSERTIONS = ("present", "possible", "absent")
"""What a report may assert; anything else counts as not mentioned, the reference level."""

BOTH, IMAGE_ONLY, REPORT_ONLY = "both", "image", "report"
NOT_MENTIONED = "not mentioned"
_INTERCEPT, _SCORE = "intercept", "score"


def terms_of(image_score: float | None, assertion: str | None) -> dict[str, float]:
    """Return the terms of the log-odds: the score's own log-odds, and which assertion the report makes."""
    terms = {_INTERCEPT: 1.0}
    if image_score is not None:
        bounded = min(max(image_score, 1e-4), 1 - 1e-4)
        terms[_SCORE] = math.log(bounded / (1 - bounded))
    if assertion is not None:
        terms |= {name: float(assertion == name) for name in ASSERTIONS}
    return terms


def case_of(image_score: float | None, assertion: str | None) -> str:
    """Return which coefficients apply.

    Raises EvaluationError when neither score nor assertion is there.
    """
    if image_score is None and assertion is None:
        raise EvaluationError("neither an image score nor a report assertion")
    return BOTH if None not in (image_score, assertion) else REPORT_ONLY if image_score is None else IMAGE_ONLY


class PairedFindings:
    """A verified model of findings from pairs of film and report.

    coefficients  finding -> case (both, image, report) -> term -> weight on the log-odds
    """

    def __init__(self, card: ModelCard, coefficients: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        self.card = card
        self._coefficients = coefficients

    @classmethod
    def load(cls, folder: Path) -> PairedFindings:
        """Return the model of a folder, verified.

        Raises ModelError without a card, ModelVerificationError when hashes or golden outputs differ.
        """
        card = read_card(folder)
        verify_files(folder, card)
        try:
            model = cls(card, json.loads((folder / COEFFICIENTS).read_text("utf-8")))
        except ValueError as error:
            raise ModelVerificationError(f"{card.id}: {COEFFICIENTS} is not JSON") from error
        for number, golden in enumerate(card.golden):
            verify_output(card, number, model.probability(**golden.input))
        return model

    def joined(self, view: FindingView, *, reported: bool) -> FindingView:
        """Return a view with the probability by film and report together; unchanged where none is fitted.

        reported  whether there is a usable report of the film's kind, which may be silent on the finding
        """
        said = (view.report_assertion or NOT_MENTIONED) if reported else None
        if view.key not in self._coefficients or (view.image_score is None and said is None):
            return view
        probability = self.probability(view.key, view.image_score, said)
        model = f"{self.card.id} {self.card.version} {self.card.weights_sha256[:12]}"
        return view.model_copy(update={"combined_probability": round(probability, 4), "combined_model": model})

    @property
    def findings(self) -> tuple[str, ...]:
        return tuple(self._coefficients)

    def probability(self, finding: str, image_score: float | None, report_assertion: str | None) -> float:
        """Return the probability of a finding.

        image_score       calibrated, 0-1, or None without a film
        report_assertion  present, possible, absent, any other word for not mentioned, or None without a report

        Raises EvaluationError for a finding that was not fitted, or with neither.
        """
        if finding not in self._coefficients:
            raise EvaluationError(f"{finding} was not fitted; there are {', '.join(self._coefficients)}")
        weights = self._coefficients[finding][case_of(image_score, report_assertion)]
        odds = sum(weights[name] * value for name, value in terms_of(image_score, report_assertion).items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, odds))))
