"""What the verbs print: JSON Lines on standard output, messages and progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error while the block runs, on a terminal only; yields what takes (done, in all)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages, disable=not messages.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)


def complain(message: str) -> None:
    """Write one error line."""
    messages.print(f"cds: {message}", style="red", markup=False, soft_wrap=True)


def wrong_use(message: str) -> typer.Exit:
    """Say what was wrong with the call and return the exit to raise."""
    complain(message)
    return typer.Exit(EXIT_WRONG_USE)
