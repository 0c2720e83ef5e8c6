"""The errors of the nlp package.

    NlpError
    ├── VocabularyError        a lexicon document is wrong; names file, entry and reason
    └── EvaluationDataError    a folder given for evaluation does not hold the expected tables

A text that cannot be read as a report is not an error: the result carries a `refusal`.
"""

from __future__ import annotations


class NlpError(Exception):
    """Root of everything the nlp package raises on purpose."""


class VocabularyError(NlpError):
    """A lexicon document does not hold what it must; `file` and `entry` say where."""

    def __init__(self, file: str, entry: str, reason: str) -> None:
        super().__init__(f"{file}: {entry}: {reason}" if entry else f"{file}: {reason}")
        self.file = file
        self.entry = entry
        self.reason = reason


class EvaluationDataError(NlpError):
    """The folder given for evaluation lacks a table or a column."""
