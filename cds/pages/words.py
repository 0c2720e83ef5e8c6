"""Keys, times and values as people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fusion.assessment import ScoreResult

_UNIT_SUFFIX = re.compile(
    r"_(percent|mmhg|mmol_l|mg_dl|mg_l|g_dl|ng_ml|ng_l|pg_ml|u_l|10e9_l|l_min|mm|cm|kg|c|feu|ddu)$"
)
_PROOF = re.compile(r" \(.+ at https?:.+\)$")
_SHORT_NAMES = {
    "spo2": "SpO2",
    "pao2": "PaO2",
    "paco2": "PaCO2",
    "fio2": "FiO2",
    "bp": "BP",
    "bun": "BUN",
    "crp": "CRP",
    "bnp": "BNP",
    "acvpu": "(ACVPU)",
    "ldh": "LDH",
    "bmi": "BMI",
    "ph": "pH",
    "egfr": "eGFR",
}

_ENHANCEMENTS = {
    "denoise": "less noise",
    "clahe": "even contrast (CLAHE)",
    "edge": "sharper edges",
    "bone": "bone",
    "soft": "lungs and soft tissue",
}


def plain(key: str) -> str:
    """Return a key as words."""
    return key.replace("_", " ")


def quantity(key: str) -> str:
    """Return the name of a measured quantity without the unit that its key carries."""
    name = _UNIT_SUFFIX.sub("", _UNIT_SUFFIX.sub("", key))
    return " ".join(_SHORT_NAMES.get(word, word) for word in name.split("_"))


def enhancement_words(name: str) -> str:
    """Return what an enhancement does, in a few words."""
    return _ENHANCEMENTS.get(name, plain(name))


def clock(moment: datetime | None, zone: ZoneInfo) -> str:
    """Return a time in the site's zone, to the minute."""
    return "" if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def since(moment: datetime, now: datetime) -> str:
    """Return how long ago something was, in its largest unit."""
    passed = max(now - moment, timedelta(0))
    if passed < timedelta(hours=1):
        return f"{int(passed.total_seconds() // 60)} min"
    if passed < timedelta(days=2):
        return f"{int(passed.total_seconds() // 3600)} h"
    return f"{passed.days} d"


def duration(seconds: float) -> str:
    """Return a length of time in its largest fitting unit."""
    for name, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (name == "min" and seconds >= length):
            return f"{seconds / length:.1f} {name}"
    return f"{seconds:.1f} s"


def due(start: date | None, end: date | None) -> str:
    """Return when something is due."""
    if start is None and end is None:
        return ""
    if start is None or start == end:
        return f"by {end}" if end else f"from {start}"
    return f"from {start}" if end is None else f"{start} to {end}"


def value_words(value: Any) -> str:
    """Return an input or result of a score in a few characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(str(k))} {value_words(v)}" for k, v in value.items() if v is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(value_words, value))
    return f"{value:.4g}" if isinstance(value, float) else plain(str(value))


def signer(signature: str) -> str:
    """Return the name of who said something, without what proves it: "Ann Ray" of "Ann Ray (u1 at https://id)"."""
    return _PROOF.sub("", signature)


def score_words(score: ScoreResult) -> str:
    """Return a score's value, with what missing inputs allow beside it."""
    value = value_words(score.value)
    low, high = score.minimum, score.maximum
    if low is not None and high is not None and low != high:
        return f"{value_words(low)}–{value_words(high)}"
    if score.possible and len(score.possible) > 1:
        return " or ".join(map(value_words, score.possible))
    return value or "–"
