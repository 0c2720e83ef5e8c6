"""The words of a report around a span: whole sentences where they are short, and never without the span."""

from __future__ import annotations

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from cds.hooks.quotes import sentence_at
from cds.hooks.wording import window

TEXT = "FINDINGS:\nClear pleura. There is a 9 mm nodule in the right upper lobe; no effusion. Normal heart."


def around(words: str, text: str = TEXT) -> str:
    at = text.index(words)
    return sentence_at(text, at, at + len(words))


def test_a_span_is_quoted_with_its_sentence() -> None:
    assert around("nodule") == "There is a 9 mm nodule in the right upper lobe; no effusion."
    assert around("Clear") == "Clear pleura."
    assert around("heart") == "Normal heart."


def test_a_long_sentence_is_cut_at_words_and_marked() -> None:
    text = "many words " * 60 + "with a nodule among " + "many words " * 60
    quoted = around("nodule", text)
    assert quoted.startswith("… ")
    assert quoted.endswith(" …")
    assert set(quoted.split()) <= {*text.split(), "…"}
    assert "nodule" in quoted


@settings(deadline=None)
@given(st.text(alphabet="ab .\n;:", max_size=700), st.integers(0, 700), st.integers(0, 40))
def test_the_span_is_always_in_the_quotation(text: str, start: int, length: int) -> None:
    start = min(start, len(text))
    end = min(start + length, len(text))
    assert text[start:end].strip() in sentence_at(text, start, end)


def test_a_window_is_said_in_words() -> None:
    first, last = date(2026, 3, 1), date(2026, 3, 9)
    assert window(first, last) == "2026-03-01 to 2026-03-09"
    assert window(last, last) == window(None, last) == "by 2026-03-09"
    assert window(first, None) == "from 2026-03-01 on"
    assert window(None, None) == "without a date"
