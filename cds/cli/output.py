"""What the verbs print: JSON Lines on standard output, messages and progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

EXIT_FAILURE = 1
EXIT_WRONG_USE = 2
EXIT_SOME_REJECTED = 3

messages = Console(stderr=True, highlight=False)
screen = Console(highlight=False)


def print_json(value: Any) -> None:
    """Write one JSON object as one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str) + "\n")
    sys.stdout.flush()


def complain(message: str) -> None:
    """Write one error line."""
    messages.print(f"cds: {message}", style="red", markup=False, soft_wrap=True)


def wrong_use(message: str) -> typer.Exit:
    """Say what was wrong with the call and return the exit to raise."""
    complain(message)
    return typer.Exit(EXIT_WRONG_USE)


def read_text(source: str) -> str:
    """Return the text of a file, or of standard input for `-`."""
    if source == "-":
        return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    path = Path(source)
    if not path.is_file():
        raise wrong_use(f"{source}: no such file")
    return path.read_bytes().decode("utf-8", "surrogateescape")


def json_documents(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """Yield (line, object) of one JSON document or of JSON Lines; a bad line yields a ValueError in its place."""
    try:
        whole = json.loads(text)
    except ValueError:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except ValueError as error:
                    yield number, ValueError(f"{name} line {number}: not JSON: {error}")
        return
    if isinstance(whole, list):
        yield from enumerate(whole, 1)
    else:
        yield 1, whole
