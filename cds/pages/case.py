"""What a case page shows, gathered from the store: film, report, assessment, and what hangs together.

A report is shown beside a film only where the assessment joined them, or where both name the same study and the
same person; never by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from cds.configuration import FindingEntry, IdentityTable
from cds.identity import Person, join
from cds.pages.findings import FindingRow, finding_rows
from cds.pages.highlights import Piece, marks_of, pieces_of
from cds.store import BlobFolder
from cds.store.films import StoredFilm, film_by_id
from cds.store.ledger import Case, case_by_id, cases_of_films
from cds.store.reports import StoredReport, report_by_id, reports_of
from cds.store.tables import FilmRow
from cds.store.verdicts import SaidVerdict, verdicts_of_film
from fusion import Assessment


@dataclass(frozen=True)
class CasePage:
    """Everything one page shows; any of film, report and assessment may be absent."""

    subject: str
    film: StoredFilm | None
    report: StoredReport | None
    pieces: tuple[Piece, ...]
    case: Case | None
    findings: tuple[FindingRow, ...]
    verdicts: Mapping[str, SaidVerdict]

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

    def __init__(self, blobs: BlobFolder, findings: Mapping[str, FindingEntry], identity: IdentityTable) -> None:
        self._blobs = blobs
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
        return self._page(session, self._subject(case.subject), film, report, case)

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

    def owner(self, row: FilmRow) -> str:
        """Return whose film it is: issuer and record number, as the identity table names the issuer."""
        return self._subject(
            f"{row.identifier_system or 'unknown issuer'}|{row.identifier_value or 'no record number'}"
        )

    def _subject(self, subject: str) -> str:
        system, _, value = subject.rpartition("|")
        issuer = self._identity.for_system(system)
        return f"{issuer.id if issuer is not None else system} | {value}"

    def _page(
        self, session: Session, subject: str, film: StoredFilm | None, report: StoredReport | None, case: Case | None
    ) -> CasePage:
        pieces: list[Piece] = []
        if report is not None:
            text = self._blobs.get(report.row.sha256).decode("utf-8", "replace")
            pieces = pieces_of(text, marks_of(report.result, self._names) if report.result is not None else ())
        rows = finding_rows(
            film.result if film is not None else None,
            report.result if report is not None else None,
            case.assessment if case is not None else None,
            self._findings,
        )
        verdicts = verdicts_of_film(session, film.row.id) if film is not None else {}
        return CasePage(subject, film, report, tuple(pieces), case, tuple(rows), verdicts)


def report_of_film(session: Session, film: FilmRow) -> StoredReport | None:
    """Return the newest report of the same study whose identity does not contradict the film's."""
    if film.identifier_system is None or film.identifier_value is None:
        return None
    candidates = reports_of(
        session,
        [],
        accessions=[film.accession] if film.accession else [],
        studies=[film.study_instance_uid],
    )
    person = Person({(film.identifier_system, film.identifier_value)}, film.birth_date, film.sex)
    joined = join(person, [candidate.row for candidate in candidates]).joined
    return next((candidate for candidate in candidates if joined and candidate.row is joined[0]), None)
