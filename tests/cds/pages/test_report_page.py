"""A report as a page by itself: nothing of it is lost, nothing of it is markup."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime

import pytest
import yaml

from cds.pages.report import report_page
from cds.site.configuration import Configs
from nlp import Extractor, Vocabulary

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
DISPLAY = {"pleural_effusion": "Pleural <effusion>"}


@pytest.fixture(scope="module")
def reader() -> Extractor:
    folder = Configs().packaged / "lexicon"
    documents = {file.name: yaml.safe_load(file.read_text("utf-8")) for file in sorted(folder.glob("*.yaml"))}
    return Extractor(Vocabulary.from_documents(documents))


def page_of(reader: Extractor, text: str, title: str = "r1") -> str:
    return report_page([(title, text, reader.extract(text, at=AT))], DISPLAY)


def body_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", re.search(r"<pre>(.*)</pre>", page, re.DOTALL)[1]))  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS: Small left effusion <script>alert(1)</script> & no pneumothorax.",
        "<p>Small left <b>pleural</b> effusion.</p>",
        "Left effusion \"quoted\" 'once'.\nRecommend CT in 3 months.",
    ],
)
def test_the_text_stands_as_given_and_escaped(reader: Extractor, text: str) -> None:
    page = page_of(reader, text)
    assert body_of(page) == text
    assert "<script" not in page


def test_words_are_marked_with_what_was_read(reader: Extractor) -> None:
    page = page_of(reader, "Small left effusion. No pneumothorax.")
    assert re.search(
        r'<mark class="finding present" title="Pleural &lt;effusion&gt;: present, left, small">effusion</mark>', page
    )
    assert '<mark class="finding absent"' in page


def test_a_title_is_escaped_and_a_refusal_is_told(reader: Extractor) -> None:
    page = page_of(reader, "", title="<img src=x>")
    assert "<img" not in page
    assert "Not read: empty" in page


def test_lone_surrogates_do_not_stop_the_page(reader: Extractor) -> None:
    assert page_of(reader, "Small left effusion\ud800.").encode("utf-8")
