"""What a case page shows, gathered from the store: film, report, assessment, and what hangs together.

A report is shown beside a film only where the assessment joined them, or where both name the same study and the
same person; never by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy.orm import Session

from cds.assessing.identity import Person, join
from cds.pages.findings import FindingRow, finding_rows
from cds.pages.highlights import Piece, marks_of, pieces_of
from cds.settings import Gate
from cds.site.configuration import FindingEntry, IdentityTable
from cds.site.gates import Gates
from cds.store import BlobFolder
from cds.store.films import StoredFilm, film_by_id, films_named
from cds.store.films import with_results as films_with_results
from cds.store.ledger import Case, case_by_id, cases_of_films
from cds.store.merges import with_merged
from cds.store.opinions import Opinion, opinions_of
from cds.store.reading import ReadingState, Told, reading_states, told_of
from cds.store.reports import StoredReport, report_by_id, reports_of
from cds.store.tables import FilmRow, ReportRow
from cds.store.verdicts import SaidVerdict, verdicts_of_film
from fusion import Assessment

_MOST_PRIORS = 5


@dataclass(frozen=True)
class Prior:
    """An earlier film of the same patient, with its report in marked pieces, if it has one."""

    film: StoredFilm
    report: StoredReport | None
    pieces: tuple[Piece, ...]

    @property
    def at(self) -> datetime:
        return self.film.row.taken_at or self.film.row.received_at

    def score(self, finding: str) -> float | None:
        """Return what that film scored, None where it was not assessed."""
        found = self.film.result.finding(finding) if self.film.result is not None else None
        return None if found is None else found.score


@dataclass(frozen=True)
class CasePage:
    """Everything one page shows; any of film, report and assessment may be absent.

    priors    earlier films of the patient, the latest first
    told      critical finding of the report -> how a person told it
    opinions  second opinions on the film
    gates     finding -> its gate, where it is not automatic
    """

    subject: str
    film: StoredFilm | None
    report: StoredReport | None
    pieces: tuple[Piece, ...]
    case: Case | None
    findings: tuple[FindingRow, ...]
    verdicts: Mapping[str, SaidVerdict]
    state: ReadingState = field(default_factory=ReadingState)
    priors: tuple[Prior, ...] = ()
    told: Mapping[str, Told] = field(default_factory=dict)
    opinions: tuple[Opinion, ...] = ()
    gates: Mapping[str, Gate] = field(default_factory=dict)

    @property
    def assessment(self) -> Assessment | None:
        return self.case.assessment if self.case is not None else None

    @property
    def models(self) -> list[tuple[str, str, str]]:
        """Id, version and sha256 of every model that has a part in the page."""
        found = []
        if self.film is not None and self.film.result is not None:
            found += [(model.id, model.version, model.sha256) for model in self.film.result.models]
        if self.report is not None and self.report.result is not None:
            found.append((f"report reader ({self.report.result.model})", self.report.result.model_version, ""))
        if self.assessment is not None:
            found += [(risk.model, risk.model_version, risk.sha256) for risk in self.assessment.risks if risk.sha256]
        return list(dict.fromkeys(found))


class CasePages:
    """Builds case pages from a store."""

    def __init__(
        self, blobs: BlobFolder, findings: Mapping[str, FindingEntry], identity: IdentityTable, gates: Gates
    ) -> None:
        self._blobs = blobs
        self._gates = gates
        self._findings = findings
        self._names = {key: entry.display for key, entry in findings.items()}
        self._identity = identity

    def of_case(self, session: Session, case_id: str) -> CasePage | None:
        """Return the page of a patient's latest assessment, or None."""
        case = case_by_id(session, case_id)
        if case is None:
            return None
        film = film_by_id(session, case.film_id) if case.film_id else None
        report = report_by_id(session, case.report_id) if case.report_id else None
        return self._page(session, self.subject(case.subject), film, report, case)

    def of_film(self, session: Session, film_id: str) -> CasePage | None:
        """Return the page of a film, with the assessment that rests on it if there is one; None without such film."""
        film = film_by_id(session, film_id)
        if film is None:
            return None
        case = cases_of_films(session, [film_id]).get(film_id)
        if case is not None:
            report = report_by_id(session, case.report_id) if case.report_id else None
        else:
            report = report_of_film(session, film.row)
        return self._page(session, self.owner(film.row), film, report, case)

    def of_report(self, session: Session, report_id: str) -> CasePage | None:
        """Return the page of a report by itself, or with the film it belongs to; None without such report."""
        report = report_by_id(session, report_id)
        if report is None:
            return None
        row = report.row
        films = films_named(session, [], accessions=[row.accession] if row.accession else [], studies=_study(row))
        for film in films:
            joined = report_of_film(session, film)
            if joined is not None and joined.row.id == report_id:
                return self.of_film(session, film.id)
        return self._page(session, self.owner(row), None, report, None)

    def owner(self, row: FilmRow | ReportRow) -> str:
        """Return whose film or report it is: issuer and record number, as the identity table names the issuer."""
        return self.subject(f"{row.identifier_system or 'unknown issuer'}|{row.identifier_value or 'no record number'}")

    def subject(self, subject: str) -> str:
        """Return a subject of the store with its issuer as the identity table names it."""
        system, _, value = subject.rpartition("|")
        issuer = self._identity.for_system(system)
        return f"{issuer.id if issuer is not None else system} | {value}"

    def _page(
        self, session: Session, subject: str, film: StoredFilm | None, report: StoredReport | None, case: Case | None
    ) -> CasePage:
        if film is not None and film.result is not None:
            film = StoredFilm(film.row, self._gates.shown(film.result))
        rows = finding_rows(
            film.result if film is not None else None,
            report.result if report is not None else None,
            case.assessment if case is not None else None,
            self._findings,
        )
        page = CasePage(subject, film, report, self._pieces(report), case, tuple(rows), {})
        if report is not None:
            page = replace(page, told=told_of(session, [report.row]).get(report.row.id, {}))
        if film is None:
            return page
        gates = {row.key: gate for row in rows if (gate := self._gates.of(row.key)) != "automatic"}
        return replace(
            page,
            verdicts=verdicts_of_film(session, film.row.id),
            state=reading_states(session, [film.row.id]).get(film.row.id, ReadingState()),
            priors=self._priors(session, film.row),
            opinions=tuple(opinions_of(session, film.row.id)),
            gates=gates,
        )

    def _pieces(self, report: StoredReport | None) -> tuple[Piece, ...]:
        if report is None:
            return ()
        text = self._blobs.get(report.row.sha256).decode("utf-8", "replace")
        return tuple(pieces_of(text, marks_of(report.result, self._names) if report.result is not None else ()))

    def _priors(self, session: Session, film: FilmRow) -> tuple[Prior, ...]:
        """Return earlier films that are this patient's beyond doubt."""
        if film.identifier_system is None or film.identifier_value is None:
            return ()
        identifiers = with_merged(session, [(film.identifier_system, film.identifier_value)])
        person = Person(identifiers, film.birth_date, film.sex)
        joined = join(person, films_named(session, identifiers)).joined
        earlier = [row for row in joined if _taken(row) < _taken(film) and row.id != film.id][:_MOST_PRIORS]
        reports = reports_of_films(session, earlier)
        return tuple(
            Prior(prior, reports.get(prior.row.id), self._pieces(reports.get(prior.row.id)))
            for prior in films_with_results(session, earlier)
        )


def report_of_film(session: Session, film: FilmRow) -> StoredReport | None:
    """Return the newest report of the same study whose identity does not contradict the film's."""
    return reports_of_films(session, [film]).get(film.id)


def reports_of_films(session: Session, films: Sequence[FilmRow]) -> dict[str, StoredReport]:
    """Return the newest report of the study of each film whose identity does not contradict the film's."""
    named = [film for film in films if film.identifier_system is not None and film.identifier_value is not None]
    reports = reports_of(
        session,
        [],
        accessions=[film.accession for film in named if film.accession],
        studies=[film.study_instance_uid for film in named],
    )
    found = {film.id: _report_in(session, film, reports) for film in named}
    return {film_id: report for film_id, report in found.items() if report is not None}


def _report_in(session: Session, film: FilmRow, reports: Sequence[StoredReport]) -> StoredReport | None:
    of_study = [
        report
        for report in reports
        if report.row.study_instance_uid == film.study_instance_uid
        or (film.accession is not None and report.row.accession == film.accession)
    ]
    if not of_study:
        return None
    own = [(str(film.identifier_system), str(film.identifier_value))]
    person = Person(with_merged(session, own), film.birth_date, film.sex)
    joined = join(person, [report.row for report in of_study]).joined
    return next((report for report in of_study if joined and report.row is joined[0]), None)


def _taken(row: FilmRow) -> datetime:
    return row.taken_at or row.received_at


def _study(row: ReportRow) -> list[str]:
    return [row.study_instance_uid] if row.study_instance_uid else []
