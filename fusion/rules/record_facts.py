"""Facts of the record: who the patient is, what is listed, what was measured, what was done.

What is not listed is "not recorded" only if resources of that type came with the record; otherwise the fact is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta

from fusion.assessment import Evidence
from fusion.examinations import IMAGING_KINDS, IMAGING_MODALITIES
from fusion.facts import Condition
from fusion.rules.situation import Known, Situation
from fusion.scores.inputs import flag, number

Find = Callable[[Situation, timedelta | None], Known | None]

MEASUREMENT_FRESH = timedelta(days=30)
_YOUNGEST, _OLDEST = 12, 55
_PREGNANCY_FRESH = timedelta(days=280)
_ACUTE = timedelta(days=90)
_LASTS = {
    "pregnant": timedelta(days=300),
    **dict.fromkeys(("acute_kidney_injury", "chest_pain", "cough", "dyspnoea", "fever", "pneumonia"), _ACUTE),
}
_MEDICATION_KINDS = frozenset({"MedicationRequest", "MedicationStatement"})
_EGFR = number("egfr", "mL/min/{1.73_m2}", 0, 300, fact="egfr")
_REACTION = flag("prior_reaction", "contrast_reaction")
_SETTINGS = {"EMER": "emergency", "IMP": "inpatient", "ACUTE": "inpatient", "NONAC": "inpatient", "AMB": "outpatient"}


def age_years(situation: Situation, _: timedelta | None) -> Known | None:
    years = situation.patient.age_at(situation.at)
    return None if years is None else Known(years, (_of_patient(situation, f"{years} years"),))


def sex(situation: Situation, _: timedelta | None) -> Known | None:
    known = situation.patient.sex
    return None if known is None else Known(known, (_of_patient(situation, f"sex {known}"),))


def pregnancy(situation: Situation, within: timedelta | None) -> Known | None:
    status = situation.patient.latest("pregnancy_status", at=situation.at, within=within or _PREGNANCY_FRESH)
    if status is not None:
        return Known(str(status.value), (_record(status.reference, f"pregnancy status {status.value}", status.at),))
    test = situation.patient.latest("pregnancy_test", at=situation.at, within=within or timedelta(days=7))
    if test is not None:
        meaning = {"positive": "pregnant", "negative": "not_pregnant"}[str(test.value)]
        return Known(meaning, (_record(test.reference, f"pregnancy test {test.value}", test.at),))
    listed = situation.patient.condition("pregnant")
    if listed is not None and _is_past(listed, "pregnant", situation.at.date()):
        listed = None
    if listed is not None:
        return Known("pregnant", (_record(listed.reference, "pregnancy on the problem list"),))
    years = situation.patient.age_at(situation.at)
    too_young_or_old = years is not None and not _YOUNGEST <= years <= _OLDEST
    return Known("not_expected") if situation.patient.sex == "male" or too_young_or_old else None


def pregnancy_on_file(situation: Situation, within: timedelta | None) -> Known | None:
    found = pregnancy(situation, within)
    if found is not None and found.value == "not_expected":
        found = None
    if found is None and "Observation" not in situation.patient.kinds:
        return None
    return Known(found is not None, () if found is None else found.evidence)


def smoking_status(situation: Situation, _: timedelta | None) -> Known | None:
    smoking = situation.patient.smoking
    if smoking.status is None:
        return None
    return Known(smoking.status, (_record(smoking.reference or "Patient", f"smoking status {smoking.status}"),))


def egfr(situation: Situation, _: timedelta | None) -> Known | None:
    filled = situation.facts.fill(_EGFR)
    if filled is None or not isinstance(filled.value, int | float):
        return None
    source = filled.evidence.reference if filled.evidence else "Patient"
    return Known(float(filled.value), (_record(source, f"eGFR {filled.value:.0f} mL/min/1.73 m2", filled.at),))


def measured(key: str) -> Find:
    """Return the finder of the newest value of an observation key."""

    def find(situation: Situation, within: timedelta | None) -> Known | None:
        found = situation.patient.latest(key, at=situation.at, within=within or MEASUREMENT_FRESH)
        if found is None or isinstance(found.value, bool | str):
            return None
        shown = f"{key} {found.bound or ''}{found.value:g} {found.unit or ''}".rstrip()
        return Known(float(found.value), (_record(found.reference, shown, found.at),))

    return find


def condition_recorded(key: str) -> Find:
    def find(situation: Situation, _: timedelta | None) -> Known | None:
        found = situation.patient.condition(key)
        if found is not None and not _is_past(found, key, situation.at.date()):
            return Known(True, (_record(found.reference, key.replace("_", " ")),))
        return _none_recorded(situation, {"Condition"}, key)

    return find


def _is_past(condition: Condition, key: str, today: date) -> bool:
    """Return whether an acute problem that nobody closed began too long ago to be meant now."""
    lasts = _LASTS.get(key)
    return lasts is not None and condition.onset is not None and today - condition.onset > lasts


def medication_recorded(key: str) -> Find:
    def find(situation: Situation, _: timedelta | None) -> Known | None:
        found = situation.patient.medication(key, on=situation.at.date())
        if found is not None:
            return Known(True, (_record(found.reference, key),))
        return _none_recorded(situation, _MEDICATION_KINDS, key)

    return find


def allergy_recorded(key: str) -> Find:
    def find(situation: Situation, _: timedelta | None) -> Known | None:
        found = situation.patient.allergy(key)
        if found is not None:
            return Known(True, (_record(found.reference, f"allergy to {key.replace('_', ' ')}"),))
        return _none_recorded(situation, {"AllergyIntolerance"}, f"allergy to {key}")

    return find


def contrast_reaction(situation: Situation, _: timedelta | None) -> Known | None:
    allergy = situation.patient.allergy("iodinated_contrast")
    if allergy is not None:
        severity = allergy.severity or "not_stated"
        return Known(severity, (_record(allergy.reference, f"reaction to iodinated contrast, severity {severity}"),))
    filled = situation.facts.fill(_REACTION)
    if filled is not None and filled.evidence is not None:
        return Known("not_stated", (filled.evidence,))
    absent = _none_recorded(situation, {"AllergyIntolerance"}, "reaction to contrast")
    return None if absent is None else Known("none_recorded", absent.evidence)


def on_file(key: str) -> Find:
    """Return the finder of whether an examination or test was done within some days (any time, when not said)."""

    def find(situation: Situation, within: timedelta | None) -> Known | None:
        orderable = situation.examinations.orderables.get(key)
        if orderable is None:
            return None
        done = [e for e in situation.examinations.of(key) if e.status == "done"]
        fresh = [e for e in done if within is None or (e.at is not None and situation.at - e.at <= within)]
        if fresh:
            return Known(True, (_record(fresh[0].reference, f"{orderable.display} done", fresh[0].at),))
        needed = IMAGING_KINDS if orderable.modality in IMAGING_MODALITIES else IMAGING_KINDS | {"Observation"}
        return Known(False) if needed & situation.patient.kinds else None

    return find


def care_setting(situation: Situation, _: timedelta | None) -> Known | None:
    current = [
        encounter
        for encounter in situation.patient.encounters
        if encounter.start is not None
        and encounter.start <= situation.at
        and (encounter.end is None or encounter.end >= situation.at)
    ]
    for encounter in sorted(current, key=lambda e: (not e.icu, -e.start.timestamp() if e.start else 0.0)):
        setting = "icu" if encounter.icu else _SETTINGS.get(encounter.kind or "")
        if setting is not None:
            return Known(setting, (_record(encounter.reference, f"encounter: {setting}"),))
    return None


def _none_recorded(situation: Situation, kinds: Collection[str], what: str) -> Known | None:
    """Return that nothing is recorded, if resources came that would have recorded it."""
    came = sorted(situation.patient.kinds.intersection(kinds))
    if not came:
        return None
    return Known(False, (Evidence(kind="input", reference=came[0], detail=f"no {what.replace('_', ' ')} recorded"),))


def _of_patient(situation: Situation, detail: str) -> Evidence:
    return Evidence(kind="record", reference=f"Patient/{situation.patient.id}", detail=detail)


def _record(reference: str, detail: str, at: datetime | None = None) -> Evidence:
    when = f" on {at.date().isoformat()}" if at is not None else ""
    return Evidence(kind="record", reference=reference, detail=f"{detail}{when}")
