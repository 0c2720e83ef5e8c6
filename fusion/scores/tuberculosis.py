"""Tuberculosis: the WHO four-symptom screen."""

from __future__ import annotations

from fusion.scores.definition import Formula, Population, ScoreDefinition
from fusion.scores.inputs import flag

_SYMPTOMS = ("cough", "fever", "night_sweats", "weight_loss")

W4SS = ScoreDefinition(
    "who_w4ss",
    "WHO four-symptom screen",
    (
        flag("cough", "condition:cough"),
        flag("fever", "condition:fever"),
        flag("night_sweats", "condition:night_sweats"),
        flag("weight_loss", "condition:weight_loss"),
    ),
    Formula(lambda values: {"score": any(values[name] for name in _SYMPTOMS)}),
    "WHO consolidated guidelines on tuberculosis, module 2: screening, 2021",
    number=None,
    band="score",
    bands="positive with any symptom",
    population=Population("people with HIV; others where screening is recommended; from 15 years", 15),
)

SCORES = (W4SS,)
