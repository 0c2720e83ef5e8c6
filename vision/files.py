"""Many films from files: decoded ahead in a few threads, analysed one after the other, in order, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from vision.analyze import Analyzer
from vision.errors import UnreadableImageError
from vision.radiograph import Radiograph
from vision.read import ENOUGH, read_radiograph
from vision.result import ImagingResult, Rejection
from vision.technique import Technique

_DECODERS = 2
AHEAD = 4
"""Films decoded and not yet analysed, at most."""


def analyze_files(
    analyzer: Analyzer, paths: Iterable[Path], technique: Technique | None = None
) -> Iterator[tuple[Path, ImagingResult]]:
    """Yield each path with its result, in the order given; an unreadable file gives a rejection."""
    for path, film in decoded(paths, least_side=ENOUGH):
        at = datetime.now(UTC)
        if isinstance(film, UnreadableImageError):
            rejection = Rejection(code=film.code, reason=str(film))
            yield path, ImagingResult(rejection=rejection, analysed_at=at)
        else:
            yield path, analyzer.analyze(film, technique, at=at)


def decoded(
    paths: Iterable[Path], *, least_side: int | None = None
) -> Iterator[tuple[Path, Radiograph | UnreadableImageError]]:
    """Yield each path with its film, or with why there is none; at most `AHEAD` films are held.

    least_side  as in `vision.read_radiograph`
    """
    waiting: deque[tuple[Path, Future[Radiograph | UnreadableImageError]]] = deque()
    with ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode") as pool:
        try:
            for path in paths:
                waiting.append((path, pool.submit(_film, path, least_side)))
                if len(waiting) >= AHEAD:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        finally:
            for _, future in waiting:
                future.cancel()


def _first(
    waiting: deque[tuple[Path, Future[Radiograph | UnreadableImageError]]],
) -> tuple[Path, Radiograph | UnreadableImageError]:
    path, future = waiting.popleft()
    return path, future.result()


def _film(path: Path, least_side: int | None) -> Radiograph | UnreadableImageError:
    try:
        return read_radiograph(path, least_side=least_side)
    except UnreadableImageError as error:
        return error
