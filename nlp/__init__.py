"""Report text -> StructuredReport. Knows no pixels, no patient record, no web.

The story in the order of the data: sections -> sentences -> mentions -> context -> attributes ->
recommendations -> consistency -> result.
"""

from __future__ import annotations

from nlp.errors import EvaluationDataError, NlpError, VocabularyError
from nlp.extractor import Extractor
from nlp.reading import ReportContext
from nlp.result import StructuredReport
from nlp.vocabulary import Vocabulary

__all__ = [
    "EvaluationDataError",
    "Extractor",
    "NlpError",
    "ReportContext",
    "StructuredReport",
    "Vocabulary",
    "VocabularyError",
]
