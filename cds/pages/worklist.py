"""The worklist and its queues: what waits for a person, the most urgent first.

open         films that nobody is done with
critical     of them, the critical and urgent ones
unread       of them, those nobody has opened
late         of them, those that have waited longer than their level should
second-look  of them, those where film and report disagree, the most surprising first
untold       critical results of reports that nobody is documented to have told
overdue      follow-ups whose date has passed
done         films that someone is done with, the latest first
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from cds.oversight.triage import LEVELS, Level, Priority, Reason, TriagePolicy, of_follow_up, of_report
from cds.pages.case import reports_of_films
from cds.site.gates import Gates
from cds.store.films import StoredFilm, with_results
from cds.store.ledger import Case, cases_of_films, cases_of_subjects, overdue_follow_ups
from cds.store.reading import ReadingState, Told, count_open, open_films, read_films, reading_states, told_of
from cds.store.reports import StoredReport, untold_reports
from cds.store.tables import FilmRow, ReportRow
from cds.store.verdicts import judged
from fusion import FindingView, ImagingInput, ReportInput, second_look
from fusion.findings import finding_views, surprise

VIEWS = ("open", "critical", "unread", "late", "second-look", "untold", "overdue", "done")
_NEWEST, _OLDEST = 300, 100
_MOST_DONE = 100
_MOST_REPORTS = 500
_MOST_REASONS = 2
_URGENT: frozenset[Level] = frozenset({"critical", "urgent"})
_STATUS = {"received": "in work", "analysed": "analysed", "rejected": "not analysed", "failed": "analysis failed"}
_ASSERTED = {"absent": "the report denies it", "present": "the report sees it", "possible": "the report suspects it"}


@dataclass(frozen=True)
class Row:
    """One line of a view.

    address        of the page to open
    level          urgency, one of `cds.oversight.triage.LEVELS`
    reason         what makes it so, in words
    waiting_since  when the film was taken, the report issued or the follow-up due
    status         how far film, report and reading are, in words
    late           whether it has waited longer than its level should
    first          whether its wait has moved it before everything but what is critical
    set_by         who set the urgency, where a person did
    """

    address: str
    owner: str
    level: Level
    reason: str
    waiting_since: datetime
    film_status: str
    report_status: str
    reading: str
    late: bool = False
    first: bool = False
    set_by: str | None = None


@dataclass(frozen=True)
class _Film:
    """One film with what hangs together with it."""

    film: StoredFilm
    case: Case | None
    report: StoredReport | None
    state: ReadingState
    told: frozenset[str]
    priority: Priority
    waited: timedelta
    views: tuple[FindingView, ...]


class Worklist:
    """Builds the views from a store.

    owner    film or report -> whose it is, without a name
    display  finding key -> its name
    """

    def __init__(
        self,
        policy: TriagePolicy,
        gates: Gates,
        owner: Callable[[FilmRow | ReportRow], str],
        subject: Callable[[str], str],
        display: Callable[[str], str],
        zone: ZoneInfo,
    ) -> None:
        self._policy = policy
        self._gates = gates
        self._owner = owner
        self._subject = subject
        self._display = display
        self._zone = zone

    def left_out(self, session: Session, views: Mapping[str, Sequence[Row]]) -> int:
        """Return how many open films are in no view, because very many are open."""
        return max(0, count_open(session) - len(views["open"]))

    def views(self, session: Session, now: datetime) -> dict[str, list[Row]]:
        """Return the rows of every view of `VIEWS`; of very many open films, the newest and the longest waiting."""
        films = self._films(session, open_films(session, newest=_NEWEST, oldest=_OLDEST), now)
        rows = [(film, self._row(film)) for film in films]
        return {
            "open": [row for _, row in rows],
            "critical": [row for _, row in rows if row.level in _URGENT],
            "unread": [row for film, row in rows if film.state.opened_at is None],
            "late": [row for _, row in rows if row.late],
            "second-look": self._second_look(films),
            "untold": self._untold(session, now),
            "overdue": self._overdue(session, now),
            "done": self._done(session, now),
        }

    def priority_of(self, session: Session, row: FilmRow, now: datetime) -> tuple[Row, Priority]:
        """Return where one film stands, as its page shows it."""
        (film,) = self._films(session, [row], now)
        return self._row(film), film.priority

    def _films(self, session: Session, rows: Sequence[FilmRow], now: datetime) -> list[_Film]:
        """Return films with their priority, the first to be read first."""
        stored = with_results(session, rows)
        ids = [film.row.id for film in stored]
        cases, states, said = cases_of_films(session, ids), reading_states(session, ids), judged(session, ids)
        reports = reports_of_films(session, [film.row for film in stored])
        told = told_of(session, [report.row for report in reports.values()])
        films = [
            self._film(
                film,
                cases.get(film.row.id),
                reports.get(film.row.id),
                states.get(film.row.id, ReadingState()),
                told,
                said.get(film.row.id, frozenset()),
                now,
            )
            for film in stored
        ]
        return sorted(films, key=lambda film: self._policy.rank(film.priority, film.waited))

    def _film(
        self,
        stored: StoredFilm,
        case: Case | None,
        report: StoredReport | None,
        state: ReadingState,
        told: dict[str, dict[str, Told]],
        judged_findings: frozenset[str],
        now: datetime,
    ) -> _Film:
        result = self._gates.shown(stored.result) if stored.result is not None else None
        film = StoredFilm(stored.row, result)
        known = frozenset(told.get(report.row.id, {})) if report is not None else frozenset()
        reasons: list[Reason] = [] if result is None else self._policy.of_film(result)
        if report is not None and report.result is not None:
            reasons += of_report(report.result, known)
        if case is not None:
            steps = case.assessment.follow_ups
            reasons += [of_follow_up(step.severity, step.summary) for step in steps if step.action != "close"]
        if result is None:
            note = "the analysis failed" if film.row.status == "failed" else "waits for its analysis"
            reasons.append(Reason("waiting", "film", note=note))
        cost = self._policy.cost(result) if result is not None and result.rejection is None else 0.0
        return _Film(
            film=film,
            case=case,
            report=report,
            state=state,
            told=known,
            priority=self._policy.priority(reasons, film_cost=cost, override=state.override),
            waited=max(now - film.row.received_at, timedelta(0)),
            views=tuple(view for view in _compared(film, report) if view.key not in judged_findings),
        )

    def _row(self, film: _Film) -> Row:
        row, override = film.film.row, film.state.override
        done = film.state.read_at is not None
        return Row(
            address=f"/cases/{film.case.case_id}" if film.case is not None else f"/films/{row.id}",
            owner=self._owner(row),
            level=film.priority.level,
            reason=self._reasons(film.priority.reasons),
            waiting_since=row.taken_at or row.received_at,
            film_status=_STATUS.get(row.status, row.status),
            report_status=film.report.row.status if film.report is not None else "none yet",
            reading=_reading(film.state),
            late=not done and self._policy.is_late(film.priority.level, film.waited),
            first=not done and film.priority.level != "critical" and self._policy.is_promoted(film.waited),
            set_by=override.said_by if override is not None else None,
        )

    def _reasons(self, reasons: Iterable[Reason]) -> str:
        words = dict.fromkeys(self._words(reason).rstrip(".") for reason in reasons)
        return "; ".join(filter(None, list(words)[:_MOST_REASONS]))

    def _words(self, reason: Reason) -> str:
        if reason.source == "person":
            return reason.note or "set by a person"
        if reason.finding is None:
            return reason.note or "no finding above its cut-off"
        name = self._display(reason.finding)
        return f"{name} {reason.note}" if reason.note else f"{name} {reason.certainty:.2f}"

    def _second_look(self, films: Sequence[_Film]) -> list[Row]:
        """Return the films where film and report disagree on something nobody has judged yet."""
        found = [(look, film) for film in films if (look := second_look(film.views))]
        found.sort(key=lambda pair: -surprise(pair[0][0]))
        return [
            replace(self._row(film), reason="; ".join(self._disagreement(view) for view in look[:_MOST_REASONS]))
            for look, film in found
        ]

    def _disagreement(self, view: FindingView) -> str:
        score = view.image_probability if view.image_probability is not None else view.image_score
        film = "not assessed" if score is None else f"film {score:.2f}"
        said = _ASSERTED.get(view.report_assertion or "", "the report is silent")
        return f"{self._display(view.key)}: {film}, {said}"

    def _untold(self, session: Session, now: datetime) -> list[Row]:
        reports = untold_reports(session, limit=_MOST_REPORTS)
        told = told_of(session, [report.row for report in reports])
        rows: list[tuple[int, Row]] = []
        for report in reports:
            known = frozenset(told.get(report.row.id, {}))
            reasons = of_report(report.result, known) if report.result is not None else []
            waiting = [reason for reason in reasons if reason.finding not in known]
            if not waiting:
                continue
            level = min((reason.level for reason in waiting), key=LEVELS.index)
            row = Row(
                address=f"/reports/{report.row.id}",
                owner=self._owner(report.row),
                level=level,
                reason=self._reasons(reason for reason in waiting if reason.level == level),
                waiting_since=report.row.issued_at,
                film_status="–",
                report_status=report.row.status,
                reading="not told",
                late=self._policy.is_late(level, now - report.row.issued_at),
            )
            rows.append((LEVELS.index(level), row))
        return [row for _, row in sorted(rows, key=lambda pair: (pair[0], pair[1].waiting_since))]

    def _overdue(self, session: Session, now: datetime) -> list[Row]:
        today = now.astimezone(self._zone).date()
        entries = overdue_follow_ups(session, today)
        cases = cases_of_subjects(session, [entry.subject for entry in entries])
        return [
            Row(
                address=f"/cases/{cases[entry.subject]}",
                owner=self._subject(entry.subject),
                level=of_follow_up(entry.follow_up.severity, "").level,
                reason=entry.follow_up.summary.rstrip("."),
                waiting_since=datetime.combine(entry.due_to, datetime.min.time(), self._zone),
                film_status="–",
                report_status="–",
                reading=f"was due {entry.due_to}",
                late=True,
            )
            for entry in entries
            if entry.subject in cases
        ]

    def _done(self, session: Session, now: datetime) -> list[Row]:
        films = self._films(session, read_films(session, limit=_MOST_DONE), now)
        ended = sorted(films, key=lambda film: film.state.read_at or now, reverse=True)
        return [self._row(film) for film in ended]


def _compared(film: StoredFilm, report: StoredReport | None) -> tuple[FindingView, ...]:
    if film.result is None or film.result.rejection is not None or report is None or report.result is None:
        return ()
    said = ReportInput(report.result, report.row.issued_at)
    return finding_views(said, ImagingInput(film.result, film.row.taken_at or film.row.received_at))


def _reading(state: ReadingState) -> str:
    if state.read_by is not None:
        return f"done, {state.read_by}"
    return f"opened, {state.opened_by}" if state.opened_by is not None else "unread"
