"""What the verbs print: JSON Lines on standard output, messages and progress on standard error."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer
from rich.console import Console

EXIT_FAILURE = 1
EXIT_WRONG_USE = 2
EXIT_SOME_REJECTED = 3

messages = Console(stderr=True, highlight=False)
screen = Console(highlight=False)


def print_json(value: Any) -> None:
    """Write one JSON object as one line of UTF-8; bytes of the input that were none come out as they came in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    try:
        line = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        line = json.dumps(value, allow_nan=False, default=str).encode("ascii")
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def complain(message: str) -> None:
    """Write one error line."""
    messages.print(f"cds: {message}", style="red", markup=False, soft_wrap=True)


def wrong_use(message: str) -> typer.Exit:
    """Say what was wrong with the call and return the exit to raise."""
    complain(message)
    return typer.Exit(EXIT_WRONG_USE)
