"""Markup from outside in cards, bodies that cost too much, odd paths: harmless or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cds.api import create_app
from cds.hooks.limits import nests_within
from cds.hooks.wording import SUMMARY_LIMIT, escaped, plain
from tests.cds.hooks.builders import call, order, plant_report, risky_order_call

RISK = "/cds-services/chest-imaging-risk"
ADVISOR = "/cds-services/imaging-order-advisor"

MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/pixel.png)",
    "**bold** _it_ `code` ~~no~~",
    "a\n\n# Heading\n- item\n> quote\n| a | b |\n|---|---|",
    "https://evil.example and www.evil.example and me@evil.example",
    "<https://evil.example>",
    "&lt;b&gt; &#60;b&#62; \\<b>",
    "\u202ereversed\u202c \u0000 \u2028",
    "[ref]: https://evil.example",
    "$x$ \\[link\\](https://evil.example)",
]
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def tokens_of(markdown: str) -> set[str]:
    blocks = MARKDOWN.parse(markdown)
    return {t.type for t in blocks} | {child.type for t in blocks for child in (t.children or ())}


@pytest.mark.parametrize("text", MARKUP)
def test_markup_from_outside_is_shown_as_it_stands(text: str) -> None:
    assert tokens_of(f"note: {escaped(text)}") <= {"paragraph_open", "inline", "paragraph_close", "text"}
    assert "<" not in escaped(text)
    assert "http://" not in escaped(text)
    assert "https://" not in escaped(text)
    assert "www." not in escaped(text)


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="<>[]()!*_`#|~\\&;:/.@ \n-ahtpsw", max_size=60))
def test_any_text_is_shown_as_it_stands(text: str) -> None:
    assert tokens_of(f"note: {escaped(text)}.") <= {"paragraph_open", "inline", "paragraph_close", "text"}


@settings(deadline=None)
@given(st.text(max_size=400))
def test_a_summary_is_one_short_line_without_tags(text: str) -> None:
    line = plain(text)
    assert len(line) <= SUMMARY_LIMIT < 140
    assert "\n" not in line
    assert "<script" not in plain(f"{text}<script>")


def test_markup_in_a_report_and_in_a_record_does_not_reach_a_card(make_service: Any) -> None:
    service = make_service()
    evil = "FINDINGS: <img src=x onerror=alert(1)> [nodule](javascript:alert(1)) **big**.\n"
    at = evil.index("nodule")
    from nlp.result import Mention

    mention = Mention(finding="lung_nodule", assertion="present", section="findings", start=at, end=at + 6)
    plant_report(service, text=evil, findings=(mention,))
    client = TestClient(create_app(service))
    (card,) = client.post(RISK, json=call()).json()["cards"]
    assert "nodule" in card["detail"]
    assert not tokens_of(card["detail"]) & {"html_block", "html_inline", "link_open", "image"}


def test_markup_in_a_reference_of_a_draft_does_not_reach_a_summary(make_service: Any) -> None:
    client = TestClient(create_app(make_service()))
    draft = order("unheard-of", "<script>alert(1)</script>")
    drafts = {"resourceType": "Bundle", "entry": [{"resource": draft}]}
    response = client.post(ADVISOR, json=call("order-sign", context_changes={"draftOrders": drafts}))
    assert response.json()["extension"]["org.roentgen-cds.unmapped-orders"]["count"] == 1
    assert "<script" not in response.text


def test_an_oversize_body_is_refused_before_it_is_read(client: TestClient) -> None:
    response = client.post(RISK, content=b" " * (17 * 1024 * 1024), headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    assert response.json()["resourceType"] == "OperationOutcome"


def test_an_oversize_body_that_does_not_tell_its_length_is_refused(client: TestClient) -> None:
    def chunks() -> Any:
        for _ in range(20):
            yield b" " * 1024 * 1024

    response = client.post(RISK, content=chunks(), headers={"Content-Type": "application/json"})
    assert response.status_code == 413


@pytest.mark.parametrize("path", [RISK, f"{RISK}/feedback", "/api/v1/risk"])
def test_a_deeply_nested_body_is_refused(client: TestClient, path: str) -> None:
    for body in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"[" * 100_000):
        response = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 400


def test_brackets_inside_text_are_no_nesting() -> None:
    assert nests_within(json.dumps({"a": "[" * 500, 'b"\\': "{[\\" * 90}).encode(), 2)
    assert not nests_within(json.dumps({"a": [["]]"]]}).encode(), 2)


NESTED = st.recursive(
    st.text(alphabet='[]{}"\\a', max_size=5) | st.none() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


@settings(deadline=None)
@given(NESTED, st.integers(1, 6), st.sampled_from([None, 1]))
def test_nesting_is_counted_as_a_parser_would(value: Any, limit: int, indent: int | None) -> None:
    assert nests_within(json.dumps(value, indent=indent).encode(), limit) == (_depth(value) <= limit)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "GET"])
def test_other_methods_are_405(client: TestClient, method: str) -> None:
    assert client.request(method, RISK).status_code == 405


@pytest.mark.parametrize(
    "path", ["/cds-services/..%2f..%2fetc", "/cds-services/%00", "/cds-services/a/b/c", "/cds-services/"]
)
def test_odd_paths_are_4xx(client: TestClient, path: str) -> None:
    assert 400 <= client.post(path, json=risky_order_call(), follow_redirects=False).status_code < 500 or path.endswith(
        "/"
    )


def test_an_unexpected_error_says_nothing_of_itself(make_service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service()

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret MRN-1")

    monkeypatch.setattr(type(service.assessor), "assess_now", broken)
    response = TestClient(create_app(service), raise_server_exceptions=False).post(RISK, json=call())
    assert response.status_code == 500
    assert response.json()["resourceType"] == "OperationOutcome"
    assert "MRN-1" not in response.text
    assert "Traceback" not in response.text
