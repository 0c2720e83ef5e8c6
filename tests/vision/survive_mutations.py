"""Reads and analyses broken copies of films, as a process of its own: a crash, a hang or a flood of memory ends it.

    python survive_mutations.py FOLDER COUNT SEED

FOLDER holds whole films. Prints one JSON object: how many copies were read, analysed and refused, and the peak memory.
A copy that takes more than SECONDS of processor time ends the process by SIGPROF.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
import warnings
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from vision import Analyzer, Radiograph, Technique, UnreadableImageError, read_radiograph
from vision.read import CODES, ENOUGH

SECONDS = 5
ADDRESS_SPACE = 12 * 2**30
"""Beyond the libraries' own mappings; what counts is the peak of memory in use."""


def read_quietly(data: bytes | Path, least_side: int | None) -> Radiograph | UnreadableImageError:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return read_radiograph(data, least_side=least_side)
        except UnreadableImageError as error:
            return error


def outcome(data: bytes | Path, least_side: int | None = None) -> Radiograph | UnreadableImageError:
    """Return a film or a refusal; anything else that happens fails."""
    film = read_quietly(data, least_side)
    if isinstance(film, UnreadableImageError):
        assert film.code in CODES
        assert str(film)
        return film
    assert film.pixels.dtype == np.float32
    high, wide = film.pixels.shape
    assert (high, wide) == (film.rows, film.columns) or (least_side and min(high, wide) >= least_side)
    assert np.isfinite(film.pixels).all()
    assert film.pixels.min() >= 0
    assert film.pixels.max() <= 1
    return film


def broken(data: bytes, chance: random.Random) -> bytes:
    """Return bytes cut, flipped, overwritten, repeated or swapped; the header more often than the pixels."""
    mutable = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        reach = len(mutable) if chance.random() < 0.4 else min(len(mutable), 2000)
        place = chance.randrange(max(reach, 1))
        kind = chance.randrange(6)
        if kind == 0:
            mutable[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            mutable[place : place + 4] = chance.choice([b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f"])
        elif kind == 2:
            del mutable[place : place + chance.randrange(1, 40)]
        elif kind == 3:
            mutable[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 20)))
        elif kind == 4:
            length = chance.randrange(1, 200)
            mutable[place:place] = mutable[place : place + length]
        else:
            del mutable[place + chance.randrange(1 + len(mutable) // 2) :]
    return bytes(mutable)


def survive(originals: list[bytes], count: int, seed: int) -> Counter[str]:
    chance, analyzer, seen = random.Random(seed), Analyzer(threads=1), Counter[str]()  # noqa: S311 - no secret
    at = datetime(2026, 3, 1, tzinfo=UTC)
    for _ in range(count):
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        film = outcome(broken(chance.choice(originals), chance), chance.choice([None, ENOUGH]))
        seen["read" if isinstance(film, Radiograph) else "unreadable"] += 1
        if isinstance(film, Radiograph):
            result = analyzer.analyze(film, Technique(), at=at)
            assert result.model_validate_json(result.model_dump_json()) == result
            seen["refused" if result.rejection is not None else "analysed"] += 1
        signal.setitimer(signal.ITIMER_PROF, 0)
    return seen


def _peak_kib() -> int:
    """Return the most memory that was resident; ru_maxrss may be that of the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def main(folder: Path, count: int, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    seen = survive([path.read_bytes() for path in sorted(folder.iterdir())], count, seed)
    peak = _peak_kib() / 1024
    sys.stdout.write(json.dumps({**seen, "peak_mib": round(peak)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
