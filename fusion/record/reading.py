"""Resources -> `Patient`. One bad resource or value is dropped by name and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from fusion.assessment import Dropped
from fusion.facts import (
    Allergy,
    Condition,
    Encounter,
    Imaging,
    Medication,
    Observation,
    Patient,
    Smoking,
)
from fusion.record.agreement import Agreed, agreed
from fusion.record.codes import allergy_keys, codings_of, condition_keys, medication_keys, texts_of
from fusion.record.observations import observations_of
from fusion.record.subject import Subject, identifiers_of, the_patient
from fusion.record.times import day, effective, full_date, moment

CLOCK_SKEW = timedelta(minutes=10)
_INACTIVE = {"inactive", "resolved", "remission"}
_NOT_TRUE = {"refuted", "entered-in-error", "unconfirmed"}
_NOT_HELD = {"planned", "cancelled", "entered-in-error"}
_OLDEST = 125
_ICU_WORDS = ("intensive", "icu", "critical care")


@dataclass
class _Gathered:
    at: datetime
    patient: Mapping[str, Any]
    medication_concepts: Mapping[str, Any] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    medications: list[Medication] = field(default_factory=list)
    allergies: list[Allergy] = field(default_factory=list)
    encounters: list[Encounter] = field(default_factory=list)
    imaging: list[Imaging] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)

    def drop(self, reference: str, reason: str) -> None:
        self.dropped.append(Dropped(reference=reference, reason=reason))


def read_patient(
    resources: Iterable[Any], *, patient_id: str | None = None, at: datetime, searched: Collection[str] = ()
) -> Patient:
    """Return the facts of one patient as known at a time.

    resources   FHIR R4 resources in JSON form; other shapes are dropped by name
    patient_id  id of the Patient that is meant; without it there must be exactly one
    at          the time of the assessment; what lies after it is dropped
    searched    resource types that were asked for and answered: of those that did not come, none is recorded

    Raises NoPatientError, or TwoPatientsError when the Patient resources are of two people.
    """
    listed = [resource for resource in resources if isinstance(resource, Mapping)]
    gathered = _Gathered(at, the_patient(listed, patient_id), _medication_concepts(listed))
    gathered.kinds |= set(searched) & set(_READERS)
    subject = Subject(gathered.patient)
    seen: set[str] = set()
    for number, resource in enumerate(listed):
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or kind not in _READERS:
            continue
        read = _READERS[kind]
        reference = f"{kind}/{resource.get('id', f'#{number}')}"[:120]
        if reference in seen:
            gathered.drop(reference, "came twice; the first is used")
            continue
        seen.add(reference)
        reason = subject.reason_not_about(resource)
        if reason is not None:
            gathered.drop(reference, reason)
            continue
        gathered.kinds.add(kind)
        try:
            read(gathered, resource, reference)
        except (AttributeError, TypeError, ValueError, KeyError, IndexError, OverflowError):
            gathered.drop(reference, f"is not shaped as a FHIR R4 {kind}")
    return _finished(gathered)


def _observation(gathered: _Gathered, resource: Mapping[str, Any], reference: str) -> None:
    for item in observations_of(resource, reference):
        if isinstance(item, Dropped):
            gathered.dropped.append(item)
        elif item.at > gathered.at + CLOCK_SKEW:
            gathered.drop(reference, f"{item.key}: dated after the time of the assessment")
        else:
            gathered.observations.append(item)


def _condition(gathered: _Gathered, resource: Mapping[str, Any], reference: str) -> None:
    verification = {code for _, code in codings_of(resource.get("verificationStatus"))}
    if verification & _NOT_TRUE:
        gathered.drop(reference, f"verification status {sorted(verification & _NOT_TRUE)[0]}")
        return
    keys = condition_keys(resource.get("code"))
    if keys:
        clinical = {code for _, code in codings_of(resource.get("clinicalStatus"))}
        active = not clinical & _INACTIVE and not any(name.startswith("abatement") for name in resource)
        onset = effective(resource, "onsetDateTime", "onsetPeriod", "recordedDate")
        if onset is not None and onset > gathered.at + CLOCK_SKEW:
            gathered.drop(reference, "dated after the time of the assessment")
            return
        gathered.conditions.append(Condition(keys, active, onset.date() if onset else None, reference))


def _medication(gathered: _Gathered, resource: Mapping[str, Any], reference: str) -> None:
    keys = medication_keys(_medication_concept(gathered, resource))
    status = resource.get("status")
    if status == "entered-in-error" or resource.get("doNotPerform") is True or not keys:
        return
    period = resource.get("effectivePeriod") if isinstance(resource.get("effectivePeriod"), Mapping) else {}
    start = day(resource.get("authoredOn")) or day(resource.get("effectiveDateTime")) or day(period.get("start"))  # type: ignore[union-attr]
    end = day(period.get("end"))  # type: ignore[union-attr]
    gathered.medications.append(Medication(keys, status in ("active", "intended", "on-hold"), start, end, reference))


def _medication_concept(gathered: _Gathered, resource: Mapping[str, Any]) -> Any:
    """Return the concept of a medication, from the element or from the Medication resource that it points to."""
    reference = resource.get("medicationReference")
    if not isinstance(reference, Mapping) or not isinstance(reference.get("reference"), str):
        return resource.get("medicationCodeableConcept")
    target = reference["reference"]
    if target.startswith("#"):
        inside = resource.get("contained")
        listed = [entry for entry in (inside if isinstance(inside, list) else ()) if isinstance(entry, Mapping)]
        return next((entry.get("code") for entry in listed if entry.get("id") == target[1:]), None)
    identifier = target.split("/_history/")[0].rsplit("/", 1)[-1].removeprefix("urn:uuid:")
    return gathered.medication_concepts.get(identifier, {"text": reference.get("display")})


def _medication_concepts(resources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {str(r.get("id")): r.get("code") for r in resources if r.get("resourceType") == "Medication"}


def _allergy(gathered: _Gathered, resource: Mapping[str, Any], reference: str) -> None:
    if {code for _, code in codings_of(resource.get("verificationStatus"))} & _NOT_TRUE:
        gathered.drop(reference, "verification status says that it is not so")
        return
    if {code for _, code in codings_of(resource.get("clinicalStatus"))} & _INACTIVE:
        return
    keys = allergy_keys(resource.get("code"))
    reactions = resource.get("reaction") if isinstance(resource.get("reaction"), list) else []
    for reaction in reactions:  # type: ignore[union-attr]
        keys |= allergy_keys(reaction.get("substance"))
    if keys:
        ranks = {"mild": 0, "moderate": 1, "severe": 2}
        severities = [r.get("severity") for r in reactions if r.get("severity") in ranks]  # type: ignore[union-attr]
        worst = max(severities, key=lambda severity: ranks[severity], default=None)
        if worst is None and resource.get("criticality") == "high":
            worst = "severe"
        gathered.allergies.append(Allergy(keys, worst, reference))


def _encounter(gathered: _Gathered, resource: Mapping[str, Any], reference: str) -> None:
    period = resource.get("period") if isinstance(resource.get("period"), Mapping) else {}
    places = [t for loc in resource.get("location") or [] for t in texts_of(loc.get("physicalType"))]
    places += [str(loc.get("location", {}).get("display", "")) for loc in resource.get("location") or []]
    places += [t for kind in resource.get("type") or [] for t in texts_of(kind)]
    icu = any(word in place.lower() for place in places for word in _ICU_WORDS)
    kind = resource.get("class")
    code = str(kind.get("code")) if isinstance(kind, Mapping) and kind.get("code") else None
    start, end = moment(period.get("start")), moment(period.get("end"))  # type: ignore[union-attr]
    if resource.get("status") in _NOT_HELD:
        return
    if resource.get("status") == "finished":
        end = end or start
    gathered.encounters.append(Encounter(code, icu, start, end, reference))


def _service_request(gathered: _Gathered, resource: Mapping[str, Any], reference: str) -> None:
    wanted = resource.get("doNotPerform") is not True and resource.get("intent") != "proposal"
    if wanted and resource.get("status") in ("active", "on-hold"):
        at = effective(resource, "authoredOn", "occurrenceDateTime", "occurrencePeriod")
        _add_imaging(gathered, resource.get("code"), None, at, "ordered", reference)


def _imaging_study(gathered: _Gathered, resource: Mapping[str, Any], reference: str) -> None:
    series = [s for s in resource.get("series") or [] if isinstance(s, Mapping)]
    modalities = [s.get("modality") for s in series] + list(resource.get("modality") or [])
    modality = next((str(m["code"]) for m in modalities if isinstance(m, Mapping) and m.get("code")), None)
    concept = next((c for c in resource.get("procedureCode") or [] if isinstance(c, Mapping)), None)
    text = {"text": resource.get("description")} if resource.get("description") else None
    if resource.get("status") not in ("cancelled", "entered-in-error"):
        _add_imaging(gathered, concept or text, modality, effective(resource, "started"), "done", reference)


def _done(gathered: _Gathered, resource: Mapping[str, Any], reference: str) -> None:
    if resource.get("status") in ("completed", "final", "amended", "corrected", "preliminary", "in-progress"):
        at = effective(
            resource, "performedDateTime", "performedPeriod", "effectiveDateTime", "effectivePeriod", "issued"
        )
        _add_imaging(gathered, resource.get("code"), None, at, "done", reference)
        keys = condition_keys(resource.get("code"))
        if keys:
            gathered.conditions.append(Condition(keys, True, at.date() if at else None, reference))


def _add_imaging(
    gathered: _Gathered, concept: Any, modality: str | None, at: datetime | None, status: str, reference: str
) -> None:
    codes = frozenset(codings_of(concept))
    text = next(texts_of(concept), None)
    if at is not None and at > gathered.at + CLOCK_SKEW:
        gathered.drop(reference, "dated after the time of the assessment")
    elif codes or text or modality:
        gathered.imaging.append(Imaging(codes, modality, text, at, status, reference))


_READERS: Mapping[str, Callable[[_Gathered, Mapping[str, Any], str], None]] = {
    "Observation": _observation,
    "Condition": _condition,
    "MedicationRequest": _medication,
    "MedicationStatement": _medication,
    "AllergyIntolerance": _allergy,
    "Encounter": _encounter,
    "ServiceRequest": _service_request,
    "ImagingStudy": _imaging_study,
    "DiagnosticReport": _done,
    "Procedure": _done,
}


def _finished(gathered: _Gathered) -> Patient:
    source = gathered.patient
    sex = source.get("gender")
    born = full_date(source.get("birthDate"))
    if born is not None and born > gathered.at.date():
        born = None
        gathered.drop("Patient.birthDate", "lies after the time of the assessment")
    if born is not None and gathered.at.year - born.year > _OLDEST:
        born = None
        gathered.drop("Patient.birthDate", f"not plausible: more than {_OLDEST} years ago")
    values = _by_the_clock(agreed(gathered.observations), gathered.at)
    return Patient(
        id=str(source.get("id") or ""),
        identifiers=tuple((entry["system"], entry["value"]) for entry in identifiers_of(source)),
        birth_date=born,
        sex=sex if sex in ("male", "female", "other", "unknown") else None,
        deceased=source.get("deceasedBoolean") is True or isinstance(source.get("deceasedDateTime"), str),
        observations=tuple(values.observations),
        conditions=tuple(gathered.conditions),
        medications=tuple(gathered.medications),
        allergies=tuple(gathered.allergies),
        encounters=tuple(gathered.encounters),
        imaging=tuple(gathered.imaging),
        smoking=_smoking(values),
        dropped=(*gathered.dropped, *values.dropped),
        kinds=frozenset(gathered.kinds),
        contradicted=values.contradicted,
    )


def _by_the_clock(values: Agreed, at: datetime) -> Agreed:
    """Return values of which none lies after the assessment: what a clock ahead of ours dated is of now."""
    observations = [item if item.at <= at else replace(item, at=at) for item in values.observations]
    contradicted = {key: min(moment, at) for key, moment in values.contradicted.items()}
    return replace(values, observations=observations, contradicted=contradicted)


def _smoking(values: Agreed) -> Smoking:
    def newest(key: str) -> Observation | None:
        found = max((o for o in values.observations if o.key == key), key=lambda o: o.at, default=None)
        contradicted = values.contradicted.get(key)
        return None if found and contradicted and contradicted >= found.at else found

    status, years = newest("smoking_status"), newest("pack_years")
    return Smoking(
        status=str(status.value) if status else None,
        pack_years=float(years.value) if years else None,
        reference=status.reference if status else None,
    )
