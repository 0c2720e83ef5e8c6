"""What a remote reader sees of a case: the film's pixels, the question and the report that was sent along.

None of it holds identity, record number or true date: `cds.deidentify.remote` took them out of the words.

The film's pixels are rendered, so nothing of its header leaves. A film whose header says that text is burned into it is
not shown; in any other, text that is found is blanked. Where the header says nothing, the one who asks has to look,
too, and the page says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cds.store.films import StoredFilm
from cds.store.opinions import Opinion
from vision.radiograph import Radiograph

_DECADE = 10
_OLDEST = 90


@dataclass(frozen=True)
class RemoteCase:
    """One question as the remote reader sees it.

    age         of the patient at the time of the film, as a decade
    burned_in   whether text may be burned into the pixels; `yes` is never shown
    """

    id: str
    question: str
    report: str | None
    sex: str | None
    age: str | None
    view: str | None
    burned_in: Literal["no", "unknown", "yes"]
    reply: str | None
    replied_by: str | None


def remote_case(opinion: Opinion, film: StoredFilm, radiograph: Radiograph) -> RemoteCase:
    """Return what may be shown of a question."""
    return RemoteCase(
        id=opinion.id,
        question=opinion.question,
        report=opinion.report,
        sex=radiograph.sex or film.row.sex,
        age=_decade(radiograph.age_years),
        view=radiograph.view,
        burned_in={True: "yes", False: "no", None: "unknown"}[radiograph.burned_in],  # type: ignore[arg-type]
        reply=opinion.reply,
        replied_by=opinion.replied_by,
    )


def _decade(years: float | None) -> str | None:
    """Return an age as a decade; from 90 on together, as 45 CFR 164.514(b)(2)(i)(C) asks."""
    if years is None:
        return None
    if years >= _OLDEST:
        return f"{_OLDEST} or older"
    first = int(years // _DECADE) * _DECADE
    return f"{first} to {first + _DECADE - 1}"
