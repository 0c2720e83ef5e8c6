"""What is published as FHIR R4: the resources of a patient, and one by its id, made from the store when asked for.

Only what could be joined with a patient is theirs here, by the rules of `cds.assessing.identity`; of film results only
what the site's gates let out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cds.assessing.identity import Person, join
from cds.fhir.assessments import follow_up_task, risk_assessments, score_observations
from cds.fhir.films import DICOM_UID, FilmFrame, film_observations, film_report, imaging_study
from cds.fhir.report import ReportFrame, diagnostic_report
from cds.fhir.searching import Published
from cds.site.codes import FindingCodes
from cds.site.gates import Gates
from cds.store import BlobFolder
from cds.store.films import films_named, with_results
from cds.store.merges import with_merged
from cds.store.patients import KnownPatient, patient_by_alias
from cds.store.reports import reports_named
from cds.store.reports import with_results as reports_with_results
from cds.store.tables import AssessmentRow, FilmRow, FollowUpRow, ImagingResultRow, ReportResultRow, ReportRow
from cds.store.verdicts import verdicts_of_film
from fusion import Assessment, FollowUp
from vision import ImagingResult

_OPEN = ("open", "overdue")
_Json = dict[str, Any]
_Find = Callable[[Session, Sequence[FilmRow], Sequence[ReportRow]], Iterator[Published]]


class GoneError(Exception):
    """The resource was there and is not valid any more: corrected, or entered in error."""


@dataclass(frozen=True)
class Publisher:
    """Makes resources from the store."""

    blobs: BlobFolder
    codes: FindingCodes
    gates: Gates

    def of_patient(self, session: Session, kind: str, patient: KnownPatient) -> Iterator[Published]:
        """Return the resources of one type that are about a patient."""
        identifiers = with_merged(session, patient.identifiers)
        person = Person(identifiers, patient.birth_date, patient.sex)
        if kind in ("RiskAssessment", "Task"):
            yield from self._of_subject(session, kind, patient)
            return
        if kind == "Observation":
            yield from self._of_subject(session, kind, patient)
        films = join(person, films_named(session, identifiers)).joined
        reports = join(person, reports_named(session, identifiers)).joined if kind == "DiagnosticReport" else ()
        yield from self._finders[kind](session, films, reports)

    def by_identifier(self, session: Session, kind: str, identifier: tuple[str | None, str]) -> Iterator[Published]:
        """Return the studies or reports that a study UID, an accession number or a report number names."""
        system, value = identifier
        studies = [value.removeprefix("urn:oid:")] if system in (None, DICOM_UID) else []
        accessions = [value] if system != DICOM_UID else []
        films = films_named(session, [], accessions=accessions, studies=studies)
        reports = list(reports_named(session, [], accessions=accessions, studies=studies))
        if kind == "DiagnosticReport":
            source_id = f"{system}|{value}" if system else value
            reports += session.scalars(_current(select(ReportRow)).where(ReportRow.source_id == source_id)).all()
        yield from self._finders[kind](session, films, reports)

    def by_id(self, session: Session, kind: str, identifier: str) -> Published | None:
        """Return one resource. Raises GoneError for what was superseded or taken back."""
        row_id, _, _ = identifier.partition(".")
        found: Iterable[Published] = ()
        if kind == "Task":
            row = session.get(FollowUpRow, identifier)
            found = [self._task(session, row)] if row is not None else []
        elif kind == "RiskAssessment" or (kind == "Observation" and session.get(FilmRow, row_id) is None):
            case = session.scalar(select(AssessmentRow).where(AssessmentRow.case_id == row_id))
            found = self._of_case(session, kind, case) if case is not None else []
        else:
            found = self._of_row(session, kind, row_id)
        return next((item for item in found if item.id == identifier), None)

    def _of_row(self, session: Session, kind: str, row_id: str) -> Iterator[Published]:
        film = session.get(FilmRow, row_id)
        report = session.get(ReportRow, row_id) if kind == "DiagnosticReport" else None
        if film is not None and kind == "ImagingStudy":
            yield from self._studies(session, _films_of_study(session, film), ())
            return
        if (film is not None and film.superseded_by is not None) or (report is not None and _is_over(report)):
            raise GoneError
        yield from self._finders[kind](session, [film] if film else [], [report] if report else [])

    @property
    def _finders(self) -> Mapping[str, _Find]:
        return {
            "ImagingStudy": self._studies,
            "Observation": self._observations,
            "DiagnosticReport": self._reports,
        }

    def _studies(self, session: Session, films: Sequence[FilmRow], _: Sequence[ReportRow]) -> Iterator[Published]:
        by_study: dict[str, list[FilmRow]] = {}
        for film in films:
            by_study.setdefault(self._frame(session, film).study, []).append(film)
        for rows in by_study.values():
            frames = [self._frame(session, row) for row in rows]
            yield Published(imaging_study(frames), max(row.received_at for row in rows))

    def _observations(self, session: Session, films: Sequence[FilmRow], _: Sequence[ReportRow]) -> Iterator[Published]:
        for result, frame in self._results(session, films):
            for observation in film_observations(result, frame, self.codes):
                yield Published(observation, frame.stored_at)

    def _reports(self, session: Session, films: Sequence[FilmRow], reports: Sequence[ReportRow]) -> Iterator[Published]:
        for result, frame in self._results(session, films):
            yield Published(film_report(result, frame, self.codes), frame.stored_at)
        stored_at = _times(session, ReportResultRow.report_id, ReportResultRow.stored_at, [r.id for r in reports])
        for stored in reports_with_results(session, reports):
            if stored.result is None or stored.result.refusal is not None:
                continue
            row = stored.row
            system, _, value = row.source_id.rpartition("|")
            written = ReportFrame(
                issued=row.issued_at,
                subject=_subject(session, row),
                status=row.status,  # type: ignore[arg-type]
                identifier=(system, value) if system else None,
            )
            text = self.blobs.get(row.sha256).decode("utf-8", "replace")
            resource = diagnostic_report(stored.result, text, self.codes, written)
            yield Published({**resource, "id": row.id}, stored_at[row.id])

    def _results(self, session: Session, films: Sequence[FilmRow]) -> Iterator[tuple[ImagingResult, FilmFrame]]:
        """Return what may leave of each film's result."""
        for stored in with_results(session, films):
            if stored.result is not None:
                released = self.gates.released(stored.result, verdicts_of_film(session, stored.row.id))
                yield released, self._frame(session, stored.row)

    def _frame(self, session: Session, film: FilmRow) -> FilmFrame:
        stored_at = _times(session, ImagingResultRow.film_id, ImagingResultRow.stored_at, [film.id])
        return FilmFrame(
            id=film.id,
            study=_films_of_study(session, film, current=False)[0].id,
            study_instance_uid=film.study_instance_uid,
            subject=_subject(session, film),
            taken_at=film.taken_at or film.received_at,
            stored_at=stored_at.get(film.id, film.received_at),
            accession=(film.accession_system, film.accession) if film.accession else None,
        )

    def _of_subject(self, session: Session, kind: str, patient: KnownPatient) -> Iterator[Published]:
        names = sorted({patient.subject, *patient.aliases})
        if kind == "Task":
            rows = session.scalars(
                select(FollowUpRow).where(FollowUpRow.subject.in_(names), FollowUpRow.state.in_(_OPEN))
            )
            yield from (self._task(session, row) for row in rows)
            return
        for case in session.scalars(select(AssessmentRow).where(AssessmentRow.subject.in_(names))):
            yield from self._of_case(session, kind, case)

    def _of_case(self, session: Session, kind: str, row: AssessmentRow) -> Iterator[Published]:
        made = {"RiskAssessment": risk_assessments, "Observation": score_observations}[kind]
        assessment = Assessment.model_validate(row.assessment)
        subject = _reference(session, row.subject)
        for resource in made(assessment, subject, case_id=row.case_id):
            yield Published(resource, row.assessed_at)

    def _task(self, session: Session, row: FollowUpRow) -> Published:
        follow_up = FollowUp.model_validate(row.follow_up)
        subject, at = _reference(session, row.subject), row.changed_at.isoformat()
        task = follow_up_task(follow_up, subject, at, self.codes, task_id=row.id)
        if row.state not in _OPEN:
            task |= {"status": "completed", "statusReason": {"text": row.closed_reason or "closed"}}
        return Published(task, row.changed_at)


def _films_of_study(session: Session, film: FilmRow, *, current: bool = True) -> list[FilmRow]:
    """Return the films of a study and a patient, the first that arrived first; all versions unless `current`."""
    query = select(FilmRow).where(
        FilmRow.study_instance_uid == film.study_instance_uid,
        FilmRow.identifier_system.is_not_distinct_from(film.identifier_system),
        FilmRow.identifier_value.is_not_distinct_from(film.identifier_value),
    )
    if current:
        query = query.where(FilmRow.superseded_by.is_(None))
    return list(session.scalars(query.order_by(FilmRow.received_at, FilmRow.id)))


def _subject(session: Session, row: FilmRow | ReportRow) -> _Json:
    """Return whose a film or report says it is, as a Reference."""
    if row.identifier_system and row.identifier_value:
        return _reference(session, f"{row.identifier_system}|{row.identifier_value}")
    return {"identifier": {"value": row.identifier_value}} if row.identifier_value else {"display": "unknown"}


def _reference(session: Session, subject: str) -> _Json:
    """Return a subject as a Reference: its identifier, and where it is read when a FHIR server is known."""
    known = patient_by_alias(session, subject) or KnownPatient(subject, frozenset({subject}))
    reference: _Json = {"type": "Patient"}
    if known.references:
        reference["reference"] = known.references[0]
    if known.identifiers:
        system, value = min(known.identifiers)
        reference["identifier"] = {"system": system, "value": value}
    return reference


def _times(session: Session, key: Any, time: Any, ids: Sequence[str]) -> dict[str, Any]:
    return {row[0]: row[1] for row in session.execute(select(key, time).where(key.in_(ids)))}


def _is_over(report: ReportRow) -> bool:
    return report.superseded_by is not None or report.status == "entered-in-error"


def _current(query: Any) -> Any:
    return query.where(ReportRow.superseded_by.is_(None), ReportRow.status != "entered-in-error")
