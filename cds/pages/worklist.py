"""The worklist: films by urgency and then by how long they wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from cds.pages.case import report_of_film
from cds.store.films import StoredFilm, recent_films
from cds.store.ledger import Case, cases_of_films
from cds.store.reports import StoredReport
from cds.store.tables import FilmRow
from fusion.assessment import Assessment

URGENCIES = ("critical", "urgent", "soon", "finding", "unreadable", "waiting", "none")
_MOST_FILMS = 100
_MOST_REASONS = 2
_CRITICAL = {1: "critical", 2: "urgent", 3: "soon"}
_SEVERITY = {"critical": "critical", "warning": "urgent", "info": "soon"}
_STATUS = {"received": "in work", "analysed": "analysed", "rejected": "not analysed", "failed": "failed"}


@dataclass(frozen=True)
class WorklistRow:
    """One film of the worklist.

    urgency  one of URGENCIES
    reason   what makes it so, in words
    """

    film_id: str
    case_id: str | None
    owner: str
    urgency: str
    reason: str
    waiting_since: datetime
    status: str
    report_status: str | None


def worklist(session: Session, owner: Callable[[FilmRow], str], display: Callable[[str], str]) -> list[WorklistRow]:
    """Return the newest films, the most urgent first, and among equals the longest waiting.

    owner    film -> whose it is, without a name
    display  finding key -> its name
    """
    films = recent_films(session, limit=_MOST_FILMS)
    cases = cases_of_films(session, [film.row.id for film in films])
    rows = [_row(film, cases.get(film.row.id), report_of_film(session, film.row), owner, display) for film in films]
    return sorted(rows, key=lambda row: (URGENCIES.index(row.urgency), row.waiting_since))


def _row(
    film: StoredFilm,
    case: Case | None,
    report: StoredReport | None,
    owner: Callable[[FilmRow], str],
    display: Callable[[str], str],
) -> WorklistRow:
    reasons = [
        *_of_report(report, display),
        *_of_assessment(case.assessment if case else None),
        *_of_film(film, display),
    ]
    urgency = min((urgency for urgency, _ in reasons), key=URGENCIES.index)
    words = dict.fromkeys(reason.rstrip(".") for of, reason in reasons if of == urgency)
    return WorklistRow(
        film_id=film.row.id,
        case_id=case.case_id if case is not None else None,
        owner=owner(film.row),
        urgency=urgency,
        reason="; ".join(list(words)[:_MOST_REASONS]),
        waiting_since=film.row.taken_at or film.row.received_at,
        status=_STATUS.get(film.row.status, film.row.status),
        report_status=report.row.status if report is not None else None,
    )


def _of_report(report: StoredReport | None, display: Callable[[str], str]) -> Iterable[tuple[str, str]]:
    if report is None or report.result is None:
        return
    told = report.result.communication.documented
    for result in report.result.critical:
        words = f"{display(result.finding)} in the report, {'told' if told else 'not yet documented as told'}"
        yield ("soon" if told else _CRITICAL[result.urgency]), words


def _of_assessment(assessment: Assessment | None) -> Iterable[tuple[str, str]]:
    for follow_up in assessment.follow_ups if assessment is not None else ():
        if follow_up.action != "close":
            yield _SEVERITY[follow_up.severity], follow_up.summary


def _of_film(film: StoredFilm, display: Callable[[str], str]) -> Iterable[tuple[str, str]]:
    if film.result is None:
        yield "waiting", "the analysis failed" if film.row.status == "failed" else "waits for its analysis"
    elif film.result.rejection is not None:
        yield "unreadable", film.result.rejection.reason
    else:
        found = [display(finding.key) for finding in film.result.findings if finding.label]
        yield ("finding", ", ".join(found)) if found else ("none", "no finding above its cut-off")
