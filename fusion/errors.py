"""Errors of the fusion package.

    FusionError
    ├── RecordError             a record that cannot be read at all
    │   ├── NoPatientError      no Patient resource, or not the one asked for
    │   └── TwoPatientsError    resources of two patients
    ├── RuleError               a rule that does not compile; says file, line and rule
    ├── ScoreInputError         an input of a score is unknown, of the wrong type or impossible
    ├── EventsError             a table of events or of a cohort that does not have the layout asked for
    ├── EvaluationError         labels and scores from which the figure asked for cannot be had
    └── ModelError              a model folder that cannot be trusted
        └── ModelVerificationError

Messages name the resource or input and the remedy, never a value of the record.
"""

from __future__ import annotations


class FusionError(Exception):
    """Base of all errors of this package."""


class RecordError(FusionError):
    """A record that cannot be read at all."""


class NoPatientError(RecordError):
    """No Patient resource, or not the one asked for."""


class TwoPatientsError(RecordError):
    """Resources of two patients came together; which one is meant cannot be guessed."""


class RuleError(FusionError):
    """A rule that does not compile; the message says file, line, rule and what would be right."""


class ScoreInputError(FusionError):
    """An input of a score is unknown, of the wrong type or impossible."""


class EventsError(FusionError):
    """A table of events or of a cohort that does not have the layout asked for."""


class EvaluationError(FusionError):
    """Labels and scores from which the figure asked for cannot be had."""


class ModelError(FusionError):
    """A model folder that cannot be trusted."""


class ModelVerificationError(ModelError):
    """Hash or golden output of a model do not match its card."""
