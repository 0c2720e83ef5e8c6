"""Text from outside made harmless: plain for summaries and labels, escaped for GitHub-flavoured Markdown.

Everything that is not written in this program passes here: words of reports, names from records, rule texts.
"""

from __future__ import annotations

import re
from datetime import date, datetime

SUMMARY_LIMIT = 139
_WORD_JOINER = "\u2060"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LINKING = re.compile(r"(?i)(?<=https)(?=://)|(?<=http)(?=://)|(?<=ftp)(?=://)|(?<=www)(?=\.)|(?=@)")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def plain(text: str, limit: int = SUMMARY_LIMIT) -> str:
    """Return text on one line, without control characters or tags, cut at a word within `limit` characters."""
    line = _TAG.sub("‹", " ".join(_CONTROL.sub(" ", text).split()))
    if len(line) <= limit:
        return line
    cut = line[: limit - 1]
    head, _, _ = cut.rpartition(" ")
    return f"{(head if len(head) > limit // 2 else cut).rstrip(' ,;:')}…"


def escaped(text: str, limit: int = 400) -> str:
    """Return text that Markdown shows as it stands: no markup, no HTML, no link, one line."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    if len(line) > limit:
        line = f"{line[: limit - 1]}…"
    line = _LINKING.sub(_WORD_JOINER, line)
    line = _SPECIAL.sub(r"\\\1", line)
    return re.sub("[&<>]", lambda match: _ENTITIES[match[0]], line)


def quoted(text: str) -> str:
    """Return words of a report as an escaped quotation."""
    return f"“{escaped(text)}”"


def day(moment: date | datetime | None) -> str:
    """Return the day of a time as ISO 8601, or a dash."""
    if moment is None:
        return "–"
    return (moment.date() if isinstance(moment, datetime) else moment).isoformat()


def window(first: date | None, last: date | None) -> str:
    """Return a span of days in words."""
    if last is None:
        return "without a date" if first is None else f"from {day(first)} on"
    return f"by {day(last)}" if first in (None, last) else f"{day(first)} to {day(last)}"


def listed(names: list[str], most: int = 4) -> str:
    """Return names as a list in words, with a count of those left out."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
