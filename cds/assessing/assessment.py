"""Order time: joins what was computed on arrival with the record of a request, and asks fusion for the assessment.

Nothing heavy runs here, and an answer never waits for the store to be written: the case that is kept for the pages
and the ledger of follow-ups follow from the same data at the next request, so a busy store costs the link, not the
answer, and an assessment that says nothing new is not written at all.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from cds.assessing.joining import Evidence, evidence_of
from cds.audit import note_access
from cds.models import Models
from cds.operating.logs import logger, place_of
from cds.site.configuration import IdentityTable
from cds.site.gates import Gates
from cds.site.orders import OrderTable
from cds.store import Database
from cds.store.films import StoredFilm
from cds.store.ledger import kept_case, open_follow_ups, store_case, subject_in_use
from cds.store.patients import KnownPatient, is_kept, keep_patient
from cds.store.verdicts import verdicts_of_film
from fusion import Assessment, DraftOrder, Patient, RuleSet, assess, read_patient

_PATIENCE_MS = 250
_log = logger(__name__)


@dataclass(frozen=True)
class AssessedPatient:
    """An assessment, the patient it is about, and what the request drafted.

    subject   the patient as the store knows them: "system|value", or "server|Patient/id"
    case_url  the page of the case; None when none is kept
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
        gates: Gates | None = None,
    ) -> None:
        self._database = database
        self._models = models
        self._rules = rules
        self._orders = orders
        self._identity = identity
        self._base_url = base_url
        self._gates = gates or Gates({})

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
        searched: Collection[str] = (),
        keep: bool = True,
    ) -> AssessedPatient:
        """Return the assessment of one patient at a time.

        resources   FHIR R4 resources of the request, the Patient among them
        server      base URL of the FHIR server that scopes `patient_id`
        drafts      drafted ServiceRequests (order-select, order-sign)
        selections  references of the drafts that are selected; None means all
        service     who asks, for the log
        searched    resource types that were asked for and answered, whether or not any came
        keep        whether the case and the ledger follow; not for a question about another time

        Raises fusion.TwoPatientsError when the resources are about two patients.
        """
        started = time.perf_counter()
        patient = read_patient(resources, patient_id=patient_id, at=at, searched=searched)
        orders, unmapped = self._orders.read_drafts(drafts, selections)
        subjects = self._subjects(patient, server, patient_id)
        with self._database.reading() as session:
            subject = subject_in_use(session, subjects) if subjects else f"request|{uuid.uuid4()}"
            evidence = self._released(session, evidence_of(session, patient, resources, at=at))
            ledger = open_follow_ups(session, subject)
        note_access(patient=subject)
        assessment = assess(
            patient,
            at=at,
            rules=self._rules,
            risks=self._models.risks,
            imaging=evidence.imaging,
            report=evidence.report,
            orders=orders,
            open_follow_ups=ledger,
            orderables=self._orders.orderables,
        )
        assessment = _completed(assessment, evidence)
        known = KnownPatient(subject, frozenset(subjects), patient.birth_date, patient.sex)
        case_id = self._kept(known, assessment, evidence, at) if keep and subjects else None
        _log.info("assessed", service=service, duration_ms=round(1000 * (time.perf_counter() - started)))
        return AssessedPatient(
            subject=subject,
            assessment=assessment,
            patient=patient,
            drafts=tuple(orders),
            unmapped=tuple(unmapped),
            case_url=f"{self._base_url}/cases/{case_id}" if case_id else None,
        )

    def _released(self, session: Session, evidence: Evidence) -> Evidence:
        """Return the evidence with what the site's gates and people's verdicts let out of the film's result."""
        film = evidence.films.used
        if film is None or film.result is None:
            return evidence
        result = self._gates.released(film.result, verdicts_of_film(session, film.row.id))
        return replace(evidence, films=replace(evidence.films, used=StoredFilm(film.row, result)))

    def _subjects(self, patient: Patient, server: str | None, patient_id: str) -> list[str]:
        """Return what the patient may be known by; empty where neither issuer nor server says whose id it is."""
        known = sorted(
            f"{system}|{value}"
            for system, value in patient.identifiers
            if value and self._identity.for_system(system) is not None
        )
        return [*known, *([f"{server}|Patient/{patient_id}"] if server else [])]

    def _kept(self, patient: KnownPatient, assessment: Assessment, evidence: Evidence, at: datetime) -> str | None:
        rests_on = {"film_id": evidence.film_id, "report_id": evidence.report_id}
        with self._database.reading() as session:
            case_id = kept_case(session, patient.subject, assessment, **rests_on, at=at)
            if case_id is not None and is_kept(session, patient):
                return case_id
        try:
            with self._database.writing(patience_ms=_PATIENCE_MS) as session:
                keep_patient(session, patient, at=at)
                return case_id or store_case(session, patient.subject, assessment, **rests_on, at=at)
        except OperationalError as error:
            _log.warning("case not kept", **place_of(error))
            return case_id


def _completed(assessment: Assessment, evidence: Evidence) -> Assessment:
    """Return the assessment with what only the store knows: what waits, and that film and report differ in study."""
    modalities = tuple(
        modality.model_copy(update={"detail": "; ".join(filter(None, [modality.detail, note]))})
        if (note := evidence.notes.get(modality.name))
        else modality
        for modality in assessment.modalities
    )
    findings = assessment.findings
    if not evidence.belong_together:
        findings = tuple(view.model_copy(update={"agreement": "not_comparable"}) for view in findings)
    return assessment.model_copy(update={"modalities": modalities, "findings": findings})


def utc_now() -> datetime:
    return datetime.now(UTC)
