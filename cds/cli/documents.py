"""Input of the batch verbs: JSON, JSON Lines or plain text, from a file or standard input, a line at a time.

Memory is bounded by the longest line and by one document that spans lines, whatever the length of the stream.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cds.cli.output import wrong_use

LARGEST_DOCUMENT = 64 * 1024 * 1024

Document = tuple[int, Any]
"""Line number, and the object there or a ValueError that says what is wrong with it."""

_Line = tuple[int, bytes | None]


def read_documents(source: str) -> Iterator[Document]:
    """Yield the objects of one JSON document (a list gives its items) or of JSON Lines."""
    with _opened(source) as stream:
        yield from _documents(_lines(stream))


def read_texts(source: str) -> Iterator[Document]:
    """Yield the objects of JSON or JSON Lines, or, of anything else, one object with the whole as `text`.

    What begins with a brace is JSON; what begins with a bracket is, if all of it can be read so.
    """
    with _opened(source) as stream:
        lines = _lines(stream)
        before = list(_until_content(lines))
        start = before[-1][1] if before else None
        lines = itertools.chain(before, lines)
        if start is not None and start.lstrip().startswith(b"{"):
            yield from _documents(lines)
            return
        head, rest = _head(lines)
        if next(rest, None) is not None:
            yield 1, ValueError(f"longer than {LARGEST_DOCUMENT} bytes")
        elif head.lstrip().startswith(b"[") and _is_json(head):
            yield from enumerate(_loaded(head), 1)
        else:
            yield 1, {"id": None, "text": head.decode("utf-8", "surrogateescape")}


def _documents(lines: Iterator[_Line]) -> Iterator[Document]:
    *_, (number, first) = [*_until_content(lines)] or [(1, b"")]
    if first is not None and not first.strip():
        return
    lines = itertools.chain([(number, first)], lines)
    if first is not None and (first.lstrip().startswith(b"[") or not _is_json(first)):
        head, rest = _head(lines)
        if _is_json(head):
            whole = _loaded(head)
            yield from enumerate(whole, 1) if isinstance(whole, list) else [(number, whole)]
            return
        lines = itertools.chain(enumerate(head.split(b"\n"), number), rest)
    for number, line in lines:
        if line is None or line.strip():
            yield _parsed(number, line)


def _until_content(lines: Iterator[_Line]) -> Iterator[_Line]:
    """Yield lines up to and with the first that is not blank."""
    for number, line in lines:
        yield number, line
        if line is None or line.strip():
            return


def _parsed(number: int, line: bytes | None) -> Document:
    if line is None:
        return number, ValueError(f"line {number}: longer than {LARGEST_DOCUMENT} bytes")
    try:
        return number, _loaded(line)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep or not UTF-8"
        return number, ValueError(f"line {number}: not JSON: {reason}")


def _is_json(text: bytes) -> bool:
    try:
        _loaded(text)
    except (ValueError, RecursionError):
        return False
    return True


def _loaded(text: bytes) -> Any:
    return json.loads(text.decode("utf-8", "surrogateescape"), parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise json.JSONDecodeError(f"{name} is no JSON", name, 0)


def _head(lines: Iterator[_Line]) -> tuple[bytes, Iterator[_Line]]:
    """Return the first lines, up to the size of one document, and what follows them."""
    parts: list[bytes] = []
    size = 0
    for number, line in lines:
        if line is None or size + len(line) > LARGEST_DOCUMENT:
            return b"".join(parts), itertools.chain([(number, line)], lines)
        parts.append(line)
        size += len(line)
    return b"".join(parts), iter(())


def _lines(stream: BinaryIO) -> Iterator[_Line]:
    """Yield (number, line with its end), None in place of a line that is too long."""
    for number in itertools.count(1):
        line = stream.readline(LARGEST_DOCUMENT + 1)
        if not line:
            return
        if len(line) <= LARGEST_DOCUMENT:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LARGEST_DOCUMENT)
        yield number, None


@contextlib.contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    if source == "-":
        yield sys.stdin.buffer
        return
    path = Path(source)
    if not path.is_file():
        raise wrong_use(f"{source}: no such file")
    with path.open("rb") as stream:
        yield stream
