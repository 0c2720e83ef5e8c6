"""Patient, film result and structured report -> one assessment. Knows no web, no database, no files of its own accord.

facts -> scores -> risks -> follow-ups and order checks -> assessment
"""

from __future__ import annotations

from fusion.assess import Freshness, assess
from fusion.assessment import (
    Assessment,
    DraftOrder,
    Dropped,
    Evidence,
    FindingView,
    FollowUp,
    OpenFollowUp,
    OrderCheck,
    RiskResult,
    RuleStatus,
    ScoreResult,
    Suggestion,
)
from fusion.errors import FusionError, NoPatientError, RuleError, TwoPatientsError
from fusion.facts import Patient
from fusion.findings import second_look
from fusion.modalities import ImagingInput, ReportInput
from fusion.orderables import Orderable
from fusion.record import read_patient, resources_of, searched_type, searched_types
from fusion.risks import RiskModels
from fusion.rules import RuleSet, compile_rules

__all__ = [
    "Assessment",
    "DraftOrder",
    "Dropped",
    "Evidence",
    "FindingView",
    "FollowUp",
    "Freshness",
    "FusionError",
    "ImagingInput",
    "NoPatientError",
    "OpenFollowUp",
    "OrderCheck",
    "Orderable",
    "Patient",
    "ReportInput",
    "RiskModels",
    "RiskResult",
    "RuleError",
    "RuleSet",
    "RuleStatus",
    "ScoreResult",
    "Suggestion",
    "TwoPatientsError",
    "assess",
    "compile_rules",
    "read_patient",
    "resources_of",
    "searched_type",
    "searched_types",
    "second_look",
]
