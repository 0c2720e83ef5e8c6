"""Values of the service's answers in a few words, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

_AROUND = 38
_Json = Mapping[str, Any]


def words_around(text: str, start: int, end: int) -> Text:
    """Return the words of a span in bold, with a little of the line around them."""
    before = text[max(0, start - _AROUND) : start].rpartition("\n")[2]
    after = text[end : end + _AROUND].partition("\n")[0]
    said = " ".join(text[start:end].split())
    if start - len(before) > 0 and text[start - len(before) - 1] != "\n":
        before = "…" + before.partition(" ")[2]
    if end + len(after) < len(text) and text[end + len(after)] != "\n":
        after = after.rpartition(" ")[0] + "…"
    return Text.assemble(before, (said, "bold"), after)


def mentions_by_finding(report: _Json) -> list[tuple[_Json, int]]:
    """Return the mention with the most detail of each finding and assertion, and how many more there are."""
    grouped: dict[tuple[str, str], list[_Json]] = {}
    for mention in report["findings"]:
        grouped.setdefault((mention["finding"], mention["assertion"]), []).append(mention)
    return [(max(group, key=_detail), len(group) - 1) for group in grouped.values()]


def place_of_finding(result: _Json, key: str) -> str:
    """Return where the regions of a finding lie, in words."""
    places = [
        " ".join(filter(None, [region["side"], f"{region['zone']} zone" if region["zone"] else None]))
        for region in result["regions"]
        if region["finding"] == key
    ]
    return ", ".join(dict.fromkeys(filter(None, places)))


def score_value(score: _Json) -> str:
    """Return a score's value with the range that missing inputs allow."""
    if score["status"] == "not_applicable":
        return f"not applicable: {score['reason']}"
    value = _short(score["value"])
    low, high = score["minimum"], score["maximum"]
    if low is not None and high is not None and low != high:
        return f"{value} ({_short(low)} to {_short(high)})" if value else f"{_short(low)} to {_short(high)}"
    if score["possible"] and len(score["possible"]) > 1:
        return f"{value} (or {', '.join(_short(v) for v in score['possible'])})" if value else "undecided"
    return value or "undecided"


def suggestions_of(card: _Json) -> list[tuple[str, list[Any]]]:
    """Return the label and the resources to create of each suggestion."""
    return [
        (suggestion["label"], [a["resource"] for a in suggestion.get("actions", ()) if a.get("resource")])
        for suggestion in card.get("suggestions", ())
    ]


def _detail(mention: _Json) -> int:
    return sum(1 for name in ("laterality", "location", "severity", "change", "measurements") if mention[name])


def _short(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{k.replace('_', ' ')} {_short(v)}" for k, v in value.items() if v is not None)
    return f"{value:g}" if isinstance(value, int | float) else str(value)
