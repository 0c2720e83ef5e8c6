"""Order time: joins what was computed on arrival with the record of a request, and asks fusion for the assessment.

Nothing heavy runs here. What could not be joined is named in the answer, never left out in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import anyio.to_thread

from cds.configuration import IdentityTable
from cds.identity import Person, join
from cds.logs import logger
from cds.models import Models
from cds.orders import OrderTable
from cds.store import Database
from cds.store.films import StoredFilm, films_of
from cds.store.ledger import open_follow_ups, store_case
from cds.store.reports import StoredReport, reports_of
from fusion import Assessment, DraftOrder, ImagingInput, Patient, ReportInput, RuleSet, assess, read_patient

_DICOM_UID_SYSTEM = "urn:dicom:uid"
_ACCESSION_TYPE = "ACSN"
_log = logger(__name__)


@dataclass(frozen=True)
class AssessedPatient:
    """An assessment, the patient it is about, and what the request drafted.

    subject  the patient as the store knows them: "system|value", or "server|Patient/id"
    """

    subject: str
    assessment: Assessment
    patient: Patient
    drafts: tuple[DraftOrder, ...]
    unmapped: tuple[str, ...]
    case_url: str | None


class Assessor:
    """Answers hooks, the risk API and `cds risk` from the store and the record they bring."""

    def __init__(
        self,
        database: Database,
        models: Models,
        rules: RuleSet,
        orders: OrderTable,
        identity: IdentityTable,
        base_url: str,
    ) -> None:
        self._database = database
        self._models = models
        self._rules = rules
        self._orders = orders
        self._identity = identity
        self._base_url = base_url

    async def assess(
        self,
        resources: Sequence[dict[str, Any]],
        *,
        server: str | None,
        patient_id: str,
        drafts: Sequence[dict[str, Any]] = (),
        selections: Sequence[str] | None = None,
        at: datetime,
        service: str,
    ) -> AssessedPatient:
        """Assess in a thread; see `assess_now`."""
        return await anyio.to_thread.run_sync(
            lambda: self.assess_now(
                resources,
                server=server,
                patient_id=patient_id,
                drafts=drafts,
                selections=selections,
                at=at,
                service=service,
            )
        )

    def assess_now(
        self,
        resources: Sequence[dict[str, Any]],
        *,
        server: str | None,
        patient_id: str,
        drafts: Sequence[dict[str, Any]] = (),
        selections: Sequence[str] | None = None,
        at: datetime,
        service: str,
    ) -> AssessedPatient:
        """Return the assessment of one patient at a time.

        resources   FHIR R4 resources of the request, the Patient among them
        server      base URL of the FHIR server that scopes `patient_id`
        drafts      drafted ServiceRequests (order-select, order-sign)
        selections  references of the drafts that are selected; None means all

        Raises fusion.TwoPatientsError when the resources are about two patients.
        """
        patient = read_patient(resources, patient_id=patient_id, at=at)
        orders, unmapped = self._orders.read_drafts(drafts, selections)
        subject = self._subject(patient, server, patient_id)
        with self._database.reading() as session:
            film, film_reason, report, report_reason = self._joined(session, patient, resources)
            ledger = open_follow_ups(session, subject)
        assessment = assess(
            patient,
            at=at,
            rules=self._rules,
            risks=self._models.risks,
            imaging=_imaging_input(film, film_reason),
            report=_report_input(report, report_reason),
            orders=orders,
            open_follow_ups=ledger,
            orderables=self._orders.orderables,
        )
        with self._database.writing() as session:
            case_id = store_case(
                session,
                subject,
                assessment,
                film_id=film.row.id if film and film_reason is None else None,
                report_id=report.row.id if report and report_reason is None else None,
                at=at,
            )
        return AssessedPatient(
            subject=subject,
            assessment=assessment,
            patient=patient,
            drafts=tuple(orders),
            unmapped=tuple(unmapped),
            case_url=f"{self._base_url}/cases/{case_id}",
        )

    def _subject(self, patient: Patient, server: str | None, patient_id: str) -> str:
        known = sorted(
            f"{system}|{value}" for system, value in patient.identifiers if self._identity.for_system(system) is not None
        )
        return known[0] if known else f"{server or 'local'}|Patient/{patient_id}"

    def _joined(
        self, session: Any, patient: Patient, resources: Sequence[dict[str, Any]]
    ) -> tuple[StoredFilm | None, str | None, StoredReport | None, str | None]:
        """Return the newest joined film and report, else the newest unresolved one with the reason."""
        person = Person(frozenset(patient.identifiers), patient.birth_date, patient.sex)
        accessions, studies = _studies_of(resources)
        reports = _choose(person, reports_of(session, person.identifiers, accessions=accessions, studies=studies))
        if reports[0] is not None and reports[1] is None:
            row = reports[0].row
            accessions = [*accessions, *filter(None, [row.accession])]
            studies = [*studies, *filter(None, [row.study_instance_uid])]
        films = _choose(person, films_of(session, person.identifiers, accessions=accessions, studies=studies))
        return films[0], films[1], reports[0], reports[1]


def _choose(person: Person, candidates: Sequence[Any]) -> tuple[Any, str | None]:
    by_row = {id(candidate.row): candidate for candidate in candidates}
    split = join(person, [candidate.row for candidate in candidates])
    if split.joined:
        with_result = [row for row in split.joined if by_row[id(row)].result is not None]
        return by_row[id((with_result or split.joined)[0])], None
    if split.unresolved:
        row, reason = split.unresolved[0]
        _log.warning("identity unresolved", identity=reason)
        return by_row[id(row)], reason
    return None, None


def _imaging_input(film: StoredFilm | None, unresolved: str | None) -> ImagingInput | None:
    if film is None or film.result is None:
        return None
    return ImagingInput(
        result=film.result,
        at=film.row.taken_at or film.row.received_at,
        status="identity_unresolved" if unresolved else "current",
        reference=f"film/{film.row.id}",
    )


def _report_input(report: StoredReport | None, unresolved: str | None) -> ReportInput | None:
    if report is None or report.result is None:
        return None
    return ReportInput(
        report=report.result,
        at=report.row.issued_at,
        status="identity_unresolved" if unresolved else report.row.status,  # type: ignore[arg-type]
        reference=f"report/{report.row.id}",
    )


def _studies_of(resources: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Return the accession numbers and study UIDs that the record's imaging resources name."""
    accessions, studies = set(), set()
    for resource in resources:
        if resource.get("resourceType") not in ("ImagingStudy", "ServiceRequest", "DiagnosticReport", "Procedure"):
            continue
        identifiers = resource.get("identifier")
        for identifier in identifiers if isinstance(identifiers, list) else ():
            if not isinstance(identifier, Mapping) or not isinstance(identifier.get("value"), str):
                continue
            if identifier.get("system") == _DICOM_UID_SYSTEM:
                studies.add(identifier["value"].removeprefix("urn:oid:"))
            elif _is_accession(identifier):
                accessions.add(identifier["value"])
    return sorted(accessions), sorted(studies)


def _is_accession(identifier: Mapping[str, Any]) -> bool:
    kind = identifier.get("type")
    codings = kind.get("coding") if isinstance(kind, Mapping) else None
    return isinstance(codings, list) and any(
        isinstance(coding, Mapping) and coding.get("code") == _ACCESSION_TYPE for coding in codings
    )


def age_on(birth_date: date, day: date) -> int:
    """Return completed years."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))


def utc_now() -> datetime:
    return datetime.now(UTC)
