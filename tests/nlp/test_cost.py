"""Time grows linearly with length, memory not at all with the number of reports."""

from __future__ import annotations

import time

import pytest

from nlp import Extractor, Vocabulary
from nlp.pipeline import build_pipeline

PIECES = [
    "FINDINGS: Left effusion. No pneumothorax. Recommend CT in 3 months.\nIMPRESSION: Right effusion.\n",
    "No focal consolidation, effusion or pneumothorax. ",
    "heart and heart and heart and heart ",
    "no no no no no ",
    "8 x 8 x 8 x ",
    "<<<<&&&&",
    "\\\\\\\\",
    "FINDINGS: ",
    "may represent versus versus ",
    "recommend CT CT recommend ",
    "12 weeks or 3 ",
]


def _seconds(extractor: Extractor, text: str) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        extractor.extract(text)
        best = min(best, time.perf_counter() - start)
    return best


@pytest.mark.parametrize("piece", PIECES)
def test_time_is_linear_in_length(extractor: Extractor, piece: str) -> None:
    short, long = piece * (4_000 // len(piece)), piece * (32_000 // len(piece))
    assert _seconds(extractor, long) < 8 * 4 * max(_seconds(extractor, short), 0.001)


def test_words_never_seen_before_leave_nothing_behind(vocabulary: Vocabulary) -> None:
    extractor = Extractor(vocabulary)
    strings = build_pipeline(vocabulary).vocab.strings
    before = len(extractor.pipeline.vocab.strings)
    for number in range(300):
        extractor.extract(f"Opacity of unheardof{'abcdefghij'[number % 10] * (number + 1)} shape.")
    assert len(extractor.pipeline.vocab.strings) <= before + len(strings) // 100
