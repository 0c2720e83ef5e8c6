"""The hygiene of a folder of films: one row per file, and a picture of them all. Judges files, not patients.

Rows carry technique and measures only, beside the path of the file as it was given; nothing from a header that names
a person.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np

from vision.analyze import ADULT_FROM_YEARS
from vision.errors import ModelVerificationError, UnreadableImageError
from vision.files import decoded
from vision.gate import GATE, Gate, Verdict, without_network
from vision.gate_header import stated_view
from vision.measure import quality_of
from vision.radiograph import Radiograph
from vision.technique import Technique

Progress = Callable[[int, int], None]

_THREADS = 2
_MISTAKES = ("rotated", "inverted", "partial")
"""Codes of rejections that say how a chest film is shown wrongly."""


def quality_table(paths: Sequence[Path], progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return one row per file; `progress` is called with (done, in all).

    file, readable, bytes; code and reason where it is refused
    rows, columns, bits, modality, body_part, view, age_known, sex_known, metadata, colour
    the measures of `vision.measure.quality_of`
    rotated, inverted, partial  whether the gate takes it for turned, inverted or cut; None where it did not look
    chest, distance  how much the gate takes it for a chest film, 0-1, and how far it is from those it knows
    age_group     adult or paediatric; None where the age is not known
    gate          accepted, or the code of its rejection
    duplicate_of  the first file with the same bytes
    """
    gate = _gate()
    first: dict[str, str] = {}
    rows = []
    for path, film in decoded(paths):
        row = _unread(path, film) if isinstance(film, UnreadableImageError) else _read(path, film, gate)
        if isinstance(film, Radiograph):
            known = first.setdefault(film.sha256, str(path))
            row["duplicate_of"] = None if known == str(path) else known
        rows.append(row)
        if progress is not None:
            progress(len(rows), len(paths))
    return rows


def quality_summary(rows: list[dict[str, Any]]) -> str:
    """Return the table in one line."""
    accepted = sum(row["gate"] == "accepted" for row in rows)
    copies = sum(row["duplicate_of"] is not None for row in rows)
    return f"{len(rows)} files, {accepted} accepted as frontal chest films, {copies} duplicates"


def quality_picture(rows: list[dict[str, Any]]) -> bytes:
    """Return a PNG that shows the table: verdicts, sizes, exposure and sharpness of the files."""
    figure = matplotlib.figure.Figure(figsize=(11, 7.5), layout="constrained")
    verdicts, sizes, exposure, sharpness = figure.subplots(2, 2).ravel()
    _verdicts(verdicts, rows)
    read = [row for row in rows if row["readable"]]
    colours = ["#1b7f5c" if row["gate"] == "accepted" else "#c0392b" for row in read]
    sizes.scatter([row["columns"] for row in read], [row["rows"] for row in read], s=14, c=colours, alpha=0.6)
    sizes.set(title="Size", xlabel="columns", ylabel="rows")
    _exposure(exposure, read)
    found = [(row["border"], row["sharpness"]) for row in read]
    sharpness.scatter([b for b, _ in found], [s for _, s in found], s=14, c=colours, alpha=0.6)
    sharpness.set(title="Border and sharpness (green: accepted)", xlabel="collimated border", ylabel="sharpness")
    figure.suptitle(quality_summary(rows))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _gate() -> Gate | None:
    try:
        return Gate.load(GATE, _THREADS)
    except ModelVerificationError:
        return None


def _unread(path: Path, error: UnreadableImageError) -> dict[str, Any]:
    return {
        "file": str(path),
        "readable": False,
        "bytes": path.stat().st_size if path.is_file() else None,
        "gate": "unreadable",
        "code": error.code,
        "reason": str(error),
        "duplicate_of": None,
    }


def _read(path: Path, film: Radiograph, gate: Gate | None) -> dict[str, Any]:
    view, _ = stated_view(film, Technique())
    verdict = gate.judge(film, Technique()) if gate is not None else without_network(film, Technique())
    rejection = verdict.rejection
    return {
        "file": str(path),
        "readable": True,
        "bytes": path.stat().st_size,
        "gate": rejection.code if rejection else "accepted",
        "code": rejection.code if rejection else None,
        "reason": rejection.reason if rejection else None,
        "rows": film.rows,
        "columns": film.columns,
        "bits": film.bits,
        "metadata": film.has_metadata,
        "modality": film.modality,
        "body_part": film.body_part,
        "view": view,
        "age_known": film.age_years is not None,
        "age_group": _age_group(film.age_years),
        "sex_known": film.sex is not None,
        "colour": round(film.colour, 4),
        **_seen(verdict),
        **quality_of(film),
    }


def _age_group(years: float | None) -> str | None:
    if years is None:
        return None
    return "adult" if years >= ADULT_FROM_YEARS else "paediatric"


def _seen(verdict: Verdict) -> dict[str, Any]:
    sight = verdict.sight
    if sight is None:
        return dict.fromkeys((*_MISTAKES, "chest", "distance"))
    code = None if verdict.rejection is None else verdict.rejection.code
    return {
        **{mistake: mistake == code for mistake in _MISTAKES},
        "chest": round(sight.kinds["chest"], 4),
        "distance": round(sight.distance, 4),
    }


def _verdicts(axes: Any, rows: list[dict[str, Any]]) -> None:
    counts = Counter(row["code"] or "accepted" for row in rows).most_common()
    names = [name for name, _ in counts][::-1]
    numbers = [number for _, number in counts][::-1]
    axes.barh(names, numbers, color=["#1b7f5c" if name == "accepted" else "#c0392b" for name in names])
    axes.set(title="Verdict", xlabel="files")


def _exposure(axes: Any, read: list[dict[str, Any]]) -> None:
    ordered = sorted(read, key=lambda row: float(row["exposure_p50"]))
    place = np.arange(len(ordered))
    low, middle, high = ([row[name] for row in ordered] for name in ("exposure_p01", "exposure_p50", "exposure_p99"))
    axes.fill_between(place, low, high, color="#8aa4b8", alpha=0.5, label="1st to 99th percentile")
    axes.plot(place, middle, color="#24425c", label="median")
    axes.set(title="Exposure", xlabel="files, by median", ylabel="grey, 0-1", ylim=(0, 1))
    axes.legend(loc="lower right", fontsize=8)
