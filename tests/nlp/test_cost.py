"""Work grows linearly with length, memory not at all with the number of reports."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

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
    "without the use of iv iv contrast ",
    "BI-RADS BI-RADS category ",
    "3 cm above the carina to the tube ",
    "34F 12 yo age 5 ",
    "EXAM: right knee TECHNIQUE: without contrast ",
    "discussed with Dr. Dr. Dr. ",
    "by in 3/15 by March in ",
    "in 6-8/52 in 3/12 ",
    "Kellgren KL grade SH type Salter ",
    "Lung-RADS prior Lung-RADS ",
    "assessment category mammo ",
    "or effusion or pneumothorax ? ",
    "CT compared seen old in March ",
]
SHORT, TIMES = 3_000, 8


def _calls(extractor: Extractor, text: str) -> int:
    """Calls of functions, Python's and built in, while a text is read."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(counted)
    try:
        extractor.extract(text)
    finally:
        sys.setprofile(None)
    return count


def _processor_seconds(extractor: Extractor, text: str) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.thread_time()
        extractor.extract(text)
        best = min(best, time.thread_time() - start)
    return best


@pytest.mark.parametrize("piece", PIECES)
def test_calls_grow_linearly_with_length(extractor: Extractor, piece: str) -> None:
    short, long = piece * (SHORT // len(piece)), piece * (TIMES * SHORT // len(piece))
    assert _calls(extractor, long) < 1.5 * TIMES * _calls(extractor, short)


@pytest.mark.parametrize("piece", PIECES)
def test_processor_time_of_patterns_grows_less_than_with_the_square(extractor: Extractor, piece: str) -> None:
    short, long = piece * (SHORT // len(piece)), piece * (TIMES * SHORT // len(piece))
    assert _processor_seconds(extractor, long) < TIMES * TIMES / 2 * max(_processor_seconds(extractor, short), 0.001)


@pytest.mark.soak
def test_the_longest_text_is_read_whole(extractor: Extractor) -> None:
    text = "No effusion. " * 150_000 + "Small pneumothorax."
    result = extractor.extract(text)
    assert result.findings[-1].finding == "pneumothorax"
    assert len(result.findings) == 150_001


@pytest.mark.soak
def test_memory_stays_flat_over_a_hundred_thousand_reports(vocabulary: Vocabulary) -> None:
    extractor = Extractor(vocabulary)
    text = "FINDINGS: Small left effusion, stable {}. No pneumothorax.\nIMPRESSION: Recommend CT chest in 3 months."
    resident: list[int] = []
    for number in range(100_000):
        extractor.extract(text.format("".join(chr(ord("a") + int(digit)) for digit in str(number))))
        if number in (10_000, 99_999):
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
    assert resident[1] - resident[0] < 16 * 1024 * 1024


def test_words_never_seen_before_leave_nothing_behind(vocabulary: Vocabulary) -> None:
    extractor = Extractor(vocabulary)
    strings = build_pipeline(vocabulary).vocab.strings
    before = len(extractor.pipeline.vocab.strings)
    for number in range(300):
        extractor.extract(f"Opacity of unheardof{'abcdefghij'[number % 10] * (number + 1)} shape.")
    assert len(extractor.pipeline.vocab.strings) <= before + len(strings) // 100
