"""Which stored film and which stored report an assessment may rest on, and what has to be said of the others.

A report and a film belong together by accession number of the same issuer or by StudyInstanceUID. What waits, failed
or is of unresolved identity is named, so that no answer is silently without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from cds.assessing.identity import Joined, Person, join
from cds.jobs.queue import JobKind, job_state
from cds.operating.logs import logger
from cds.store.films import StoredFilm, films_named
from cds.store.films import with_results as films_with_results
from cds.store.merges import with_merged
from cds.store.reports import StoredReport, reports_named
from cds.store.reports import with_results as reports_with_results
from cds.store.tables import FilmRow, ReportRow
from fusion import ImagingInput, Patient, ReportInput
from vision import ImagingResult
from vision.result import Rejection

_DICOM_UID_SYSTEM = "urn:dicom:uid"
_ACCESSION_TYPE = "ACSN"
_CLOCK_SKEW = timedelta(minutes=10)
_log = logger(__name__)

_Stored = TypeVar("_Stored", StoredFilm, StoredReport)


@dataclass(frozen=True)
class Choice(Generic[_Stored]):
    """What the store has of one kind for a patient.

    used        the one to rest on, joined beyond doubt
    unresolved  the newest that is near but not joined, where none is joined
    note        what an answer has to say besides
    """

    used: _Stored | None = None
    unresolved: _Stored | None = None
    note: str | None = None


@dataclass(frozen=True)
class Evidence:
    """The film and the report of one patient at one time."""

    films: Choice[StoredFilm]
    reports: Choice[StoredReport]

    @property
    def imaging(self) -> ImagingInput | None:
        """The film as fusion takes it."""
        film = self.films.used or self.films.unresolved
        if film is None or (film.result is None and film is self.films.used):
            return None
        return ImagingInput(
            result=film.result or _not_analysed(film.row.received_at),
            at=film.row.taken_at or film.row.received_at,
            status="current" if film is self.films.used else "identity_unresolved",
            reference=f"film/{film.row.id}",
        )

    @property
    def report(self) -> ReportInput | None:
        """The report as fusion takes it."""
        report = self.reports.used or self.reports.unresolved
        if report is None or report.result is None:
            return None
        return ReportInput(
            report=report.result,
            at=report.row.issued_at,
            status=report.row.status if report is self.reports.used else "identity_unresolved",  # type: ignore[arg-type]
            reference=f"report/{report.row.id}",
        )

    @property
    def film_id(self) -> str | None:
        return self.films.used.row.id if self.films.used else None

    @property
    def report_id(self) -> str | None:
        return self.reports.used.row.id if self.reports.used else None

    @property
    def belong_together(self) -> bool:
        """Whether film and report are of the same study; True where one of them is missing."""
        if self.films.used is None or self.reports.used is None:
            return True
        return _belong_together(self.films.used.row, self.reports.used.row)

    @property
    def notes(self) -> Mapping[str, str]:
        """Modality -> what an answer has to say of it."""
        notes = {"imaging": self.films.note, "report": self.reports.note}
        return {name: note for name, note in notes.items() if note}


@dataclass
class _Names:
    """The accession numbers (with the systems they came with) and studies that lead to a patient's films."""

    accessions: dict[str, set[str | None]] = field(default_factory=dict)
    studies: set[str] = field(default_factory=set)

    def add_accession(self, system: str | None, value: str) -> None:
        self.accessions.setdefault(value, set()).add(system)


def evidence_of(
    session: Session, patient: Patient, resources: Iterable[Mapping[str, Any]], *, at: datetime
) -> Evidence:
    """Return the newest film and report that may be joined with a patient, as known at a time.

    resources  the record; its imaging studies, orders and reports may name films by accession number or study
    """
    own = ((system, value) for system, value in patient.identifiers if system and value)
    identifiers = with_merged(session, own)
    person = Person(identifiers, patient.birth_date, patient.sex)
    names = _named_by(resources)
    reports = [
        row
        for row in reports_named(session, identifiers, accessions=[*names.accessions], studies=[*names.studies])
        if row.issued_at <= at + _CLOCK_SKEW and _is_near(row, person, names)
    ]
    report = _chosen_report(session, person, reports)
    if report.used is not None:
        _add_names_of(names, report.used.row)
    films = [
        row
        for row in films_named(session, identifiers, accessions=[*names.accessions], studies=[*names.studies])
        if (row.taken_at or row.received_at) <= at + _CLOCK_SKEW and _is_near(row, person, names)
    ]
    return Evidence(_chosen_film(session, person, films), report)


def _chosen_film(session: Session, person: Person, newest_first: Sequence[FilmRow]) -> Choice[StoredFilm]:
    """Return the newest analysed film, else the newest rejected one; only its result is loaded."""
    split = join(person, newest_first)
    in_turn = [row for state in ("analysed", "rejected") for row in split.joined if row.status == state]
    chosen = in_turn[:1] or [row for row, _ in split.unresolved[: not split.joined]]
    stored = next(iter(films_with_results(session, chosen)), None)
    waits = bool(split.joined) and split.joined[0].status not in ("analysed", "rejected")
    note = _note(session, "analyse_film", split, waits=waits)
    if not in_turn or stored is None or stored.result is None:
        return Choice(None, stored, note)
    return Choice(stored, None, "; ".join(filter(None, [_unassessed(stored.result), note])) or None)


def _unassessed(result: ImagingResult) -> str | None:
    """Return why nothing was assessed on a film that could be used; None when something was."""
    if result.findings or result.rejection is not None or not result.not_applicable:
        return None
    return f"nothing was assessed on it: {next(iter(result.not_applicable.values()))}"


def _chosen_report(session: Session, person: Person, newest_first: Sequence[ReportRow]) -> Choice[StoredReport]:
    """Return the newest report that was extracted, else the newest that was refused; no more results are loaded."""
    split = join(person, newest_first)
    used: StoredReport | None = None
    waits = False
    for number, row in enumerate(split.joined):
        (stored,) = reports_with_results(session, [row])
        waits = waits or (number == 0 and stored.result is None)
        used = used or (stored if stored.result is not None else None)
        if stored.result is not None and stored.result.refusal is None:
            used = stored
            break
    near = [row for row, _ in split.unresolved[: not split.joined]]
    unresolved = next(iter(reports_with_results(session, near)), None)
    return Choice(used, unresolved, _note(session, "extract_report", split, waits=waits))


def _note(session: Session, kind: JobKind, split: Joined[Any], *, waits: bool) -> str | None:
    notes = [_waiting_note(session, kind, split.joined[0].id)] if waits else []
    if split.unresolved:
        reason = split.unresolved[0][1]
        _log.warning("identity unresolved", kind=kind, identity=reason, count=len(split.unresolved))
        notes.append("another is of unresolved identity" if split.joined else f"unresolved: {reason}")
    return "; ".join(notes) or None


def _waiting_note(session: Session, kind: JobKind, subject_id: str) -> str:
    if job_state(session, kind, subject_id) == "failed":
        return "the newest could not be worked on; the operator has to look"
    return "the newest has arrived and waits to be worked on"


def _not_analysed(at: datetime) -> ImagingResult:
    return ImagingResult(rejection=Rejection(code="not_analysed", reason="not analysed yet"), analysed_at=at)


def _is_near(row: FilmRow | ReportRow, person: Person, names: _Names) -> bool:
    """Whether a candidate is named by more than the accession number of another issuer."""
    if row.study_instance_uid in names.studies or (row.identifier_system, row.identifier_value) in person.identifiers:
        return True
    if row.identifier_system is None and row.identifier_value in {value for _, value in person.identifiers}:
        return True
    return any(_same_issuer(row.accession_system, system) for system in names.accessions.get(row.accession or "", ()))


def _belong_together(film: FilmRow, report: ReportRow) -> bool:
    if film.study_instance_uid == report.study_instance_uid:
        return True
    same_number = film.accession is not None and film.accession == report.accession
    return same_number and _same_issuer(film.accession_system, report.accession_system)


def _same_issuer(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _add_names_of(names: _Names, report: ReportRow) -> None:
    if report.accession:
        names.add_accession(report.accession_system, report.accession)
    if report.study_instance_uid:
        names.studies.add(report.study_instance_uid)


def _named_by(resources: Iterable[Mapping[str, Any]]) -> _Names:
    """Return the accession numbers and studies that the record's imaging resources name."""
    names = _Names()
    for resource in resources:
        if resource.get("resourceType") not in ("ImagingStudy", "ServiceRequest", "DiagnosticReport", "Procedure"):
            continue
        identifiers = resource.get("identifier")
        for identifier in identifiers if isinstance(identifiers, list) else ():
            if not isinstance(identifier, Mapping) or not isinstance(identifier.get("value"), str):
                continue
            system, value = identifier.get("system"), identifier["value"]
            if system == _DICOM_UID_SYSTEM:
                names.studies.add(value.removeprefix("urn:oid:"))
            elif _is_accession(identifier):
                names.add_accession(system if isinstance(system, str) else None, value)
    return names


def _is_accession(identifier: Mapping[str, Any]) -> bool:
    kind = identifier.get("type")
    codings = kind.get("coding") if isinstance(kind, Mapping) else None
    return isinstance(codings, list) and any(
        isinstance(coding, Mapping) and coding.get("code") == _ACCESSION_TYPE for coding in codings
    )
