"""Wordings of many hands: dictation, telegraphic notes, intensive care, limbs, breasts, tomography.

`data/wordings.csv` names for each text a finding and the assertion that the words give it (nothing for a finding that
they only look like), the label that a coder would write down, or whether the report is normal.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from nlp import Extractor

with (Path(__file__).parent / "data" / "wordings.csv").open(encoding="utf-8", newline="") as lines:
    ROWS = list(csv.DictReader(lines))


def _cases(*groups: str, but: bool = False) -> list[tuple[str, str, str]]:
    return [(row["text"], row["finding"], row["said"]) for row in ROWS if (row["group"] in groups) is not but]


@pytest.mark.parametrize(("text", "finding", "said"), _cases("label", "verdict", but=True))
def test_what_the_words_say(extractor: Extractor, text: str, finding: str, said: str) -> None:
    found = {mention.assertion for mention in extractor.extract(text).findings if mention.finding == finding}
    assert found == ({said} if said else set())


@pytest.mark.parametrize(("text", "finding", "label"), _cases("label"))
def test_how_a_coder_would_label_it(extractor: Extractor, text: str, finding: str, label: str) -> None:
    assert extractor.extract(text).labels[finding] == int(label)


@pytest.mark.parametrize(("text", "_", "normal"), _cases("verdict"))
def test_whether_the_report_is_normal(extractor: Extractor, text: str, _: str, normal: str) -> None:
    assert extractor.extract(text).normal is (normal == "True")
