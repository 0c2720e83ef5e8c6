"""The fixed split of development reports: by the text itself, so a text is never on both sides."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

_NOT_WORDS = re.compile(r"[\W_]+")
_VALIDATION_SHARE = 0.15

Part = Literal["development", "validation"]


def normalised_text(text: str) -> str:
    """Words of a text in lower case with single spaces: equal for texts that repeat each other."""
    return _NOT_WORDS.sub(" ", text.casefold()).strip()


def text_key(text: str) -> str:
    """A stable key of a text; reports that share it belong to one group."""
    return hashlib.sha256(normalised_text(text).encode("utf-8", "replace")).hexdigest()


def part_of(text: str) -> Part:
    """The side of the split on which a text lies: 85 % development, 15 % validation."""
    fraction = int(text_key(text)[:8], 16) / 0x1_0000_0000
    return "validation" if fraction < _VALIDATION_SHARE else "development"
