"""Deterministic scores: Python functions with their declarations, one module per family.

inputs.py      what an input is, and which values are possible
definition.py  what a score declares, and what it returns when inputs are missing
points.py      scores that add points
registry.py    all scores by name; `calculate` gives the exact JSON of `cds score --json`
filling.py     inputs from record, film and report, each with its provenance
assessing.py   which scores mean something for a patient, and what they say
"""

from __future__ import annotations

from fusion.scores.assessing import assess_scores, relevant, score_patient
from fusion.scores.definition import ScoreDefinition
from fusion.scores.registry import SCORES, calculate

__all__ = ["SCORES", "ScoreDefinition", "assess_scores", "calculate", "relevant", "score_patient"]
