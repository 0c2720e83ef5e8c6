"""Inputs of scores from what is known of a patient: record, film and report, each value with its provenance.

A problem that is not on the problem list is unknown, not absent. The final report outranks the film. Nothing is
guessed: what cannot be filled stays missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fusion.assessment import Evidence, InputUsed
from fusion.facts import Observation, Patient
from fusion.modalities import ImagingInput, ReportInput
from fusion.scores.inputs import DAY, Input
from fusion.scores.kidney import CKD_EPI_2021
from nlp.result import Mention

FILM_FRESH = timedelta(days=7)
_OPACITIES = frozenset({"lung_opacity", "consolidation", "pneumonia", "infiltration"})
_NODULES = frozenset({"lung_nodule", "lung_mass", "nodular_opacity"})
_DAYS_A_YEAR = 365.25


@dataclass(frozen=True)
class Filled:
    """A value with where it came from."""

    value: Any
    at: datetime | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True)
class Facts:
    """Everything that may fill inputs at one time; stale or unusable films and reports are left out."""

    patient: Patient
    imaging: ImagingInput | None
    report: ReportInput | None
    at: datetime

    def fill(self, item: Input) -> InputUsed | None:
        """Return the value of an input with its provenance, or None when it is not known."""
        filled = self._find(item)
        if filled is None or filled.value is None:
            return None
        return InputUsed(name=item.name, value=filled.value, unit=item.unit, at=filled.at, evidence=filled.evidence)

    def film(self) -> ImagingInput | None:
        """Return the film if it is usable and fresh."""
        film = self.imaging
        return film if film is not None and film.usable and self.at - film.at <= FILM_FRESH else None

    def text(self) -> ReportInput | None:
        """Return the report if it is usable."""
        return self.report if self.report is not None and self.report.usable else None

    def observation(self, key: str, within: timedelta | None) -> Filled | None:
        """Return the newest value of an observation key."""
        found = self.patient.latest(key, at=self.at, within=within)
        return None if found is None else Filled(found.value, found.at, _record(found))

    def mentions(self, findings: frozenset[str]) -> list[Mention]:
        """Return what the report says of findings."""
        text = self.text()
        return [] if text is None else [mention for mention in text.report.findings if mention.finding in findings]

    def _find(self, item: Input) -> Filled | None:
        if item.fact is None:
            return self.observation(item.name, item.freshness)
        if item.fact.startswith("condition:"):
            return self.condition(item.fact.removeprefix("condition:").split("|"))
        if item.fact.startswith("medication:"):
            return self._medication(item.fact.removeprefix("medication:"))
        finder = _FINDERS.get(item.fact)
        return self.observation(item.fact, item.freshness) if finder is None else finder(self, item)

    def condition(self, keys: list[str]) -> Filled | None:
        """Return True with its evidence when one of the problems is active; None when none is listed."""
        found = next(filter(None, (self.patient.condition(key) for key in keys)), None)
        return None if found is None else Filled(True, None, _from_record(found.reference, "condition"))

    def _medication(self, key: str) -> Filled | None:
        found = self.patient.medication(key, on=self.at.date())
        return None if found is None else Filled(True, None, _from_record(found.reference, "medication"))


def _record(found: Observation) -> Evidence:
    return _from_record(found.reference, found.key)


def _from_record(reference: str, detail: str) -> Evidence:
    return Evidence(kind="record", reference=reference, detail=detail)


def _age(facts: Facts, _: Input) -> Filled | None:
    return Filled(facts.patient.age_at(facts.at), None, _from_record(f"Patient/{facts.patient.id}", "birthDate"))


def _sex(facts: Facts, _: Input) -> Filled | None:
    known = facts.patient.sex if facts.patient.sex in ("male", "female") else None
    return Filled(known, None, _from_record(f"Patient/{facts.patient.id}", "gender"))


def _pregnant(facts: Facts, _: Input) -> Filled | None:
    status = facts.observation("pregnancy_status", timedelta(days=280))
    if status is not None and status.value in ("pregnant", "not_pregnant"):
        return Filled(status.value == "pregnant", status.at, status.evidence)
    return facts.condition(["pregnant"])


def _consciousness(facts: Facts, item: Input) -> Filled | None:
    level = facts.observation("consciousness_acvpu", item.freshness)
    return level if level is not None and level.value in item.choices else None


def _confusion(facts: Facts, _: Input) -> Filled | None:
    scale = facts.observation("glasgow_coma_scale", DAY)
    if scale is not None:
        return Filled(scale.value < 15, scale.at, scale.evidence)
    level = facts.observation("consciousness_acvpu", DAY)
    if level is not None:
        return Filled(level.value != "A", level.at, level.evidence)
    return facts.condition(["confusion"])


def _effusion(facts: Facts, _: Input) -> Filled | None:
    text = facts.text()
    for mention in facts.mentions(frozenset({"pleural_effusion"})):
        if text is not None and mention.assertion in ("present", "absent"):
            return Filled(mention.assertion == "present", text.at, _said(text, mention))
    film = facts.film()
    finding = film.result.finding("pleural_effusion") if film is not None else None
    if film is None or finding is None or finding.label is None:
        return None
    return Filled(finding.label, film.at, _seen(film, "pleural_effusion"))


def _multilobar(facts: Facts, _: Input) -> Filled | None:
    text = facts.text()
    present = [mention for mention in facts.mentions(_OPACITIES) if mention.assertion == "present"]
    if text is not None and present:
        places = {(mention.laterality, mention.location) for mention in present}
        several = any(mention.laterality == "bilateral" for mention in present) or len(places) > 1
        return Filled(several, text.at, _said(text, present[0]))
    film = facts.film()
    shown = [] if film is None else [finding for finding in film.result.findings if finding.key in _OPACITIES]
    if film is None or not any(finding.label for finding in shown):
        return None
    keys = {finding.key for finding in shown if finding.label}
    shown_at = {(region.side, region.zone) for region in film.result.regions if region.finding in keys}
    return Filled(len(shown_at) > 1, film.at, _seen(film, "lung_opacity")) if shown_at else None


def _measured_nodules(facts: Facts) -> list[tuple[Mention, tuple[float, ...]]]:
    found = []
    for mention in facts.mentions(_NODULES):
        sizes = [size.values_mm for size in mention.measurements if not size.prior and size.values_mm]
        if mention.assertion in ("present", "possible") and sizes:
            found.append((mention, max(sizes, key=max)))
    return sorted(found, key=lambda pair: max(pair[1]), reverse=True)


def _nodule_size(facts: Facts, item: Input) -> Filled | None:
    nodules, text = _measured_nodules(facts), facts.text()
    if not nodules or text is None:
        return None
    mention, axes = nodules[0]
    size = max(axes) if item.name == "diameter_mm" else sum(sorted(axes)[-2:]) / len(axes[:2])
    return Filled(round(size, 2), text.at, _said(text, mention))


def _several_nodules(facts: Facts, _: Input) -> Filled | None:
    nodules, text = _measured_nodules(facts), facts.text()
    if text is None or len({axes for _, axes in nodules}) < 2:
        return None
    return Filled(True, text.at, _said(text, nodules[1][0]))


def _upper_lobe(facts: Facts, _: Input) -> Filled | None:
    nodules, text = _measured_nodules(facts), facts.text()
    if not nodules or text is None or not (nodules[0][0].location or "").endswith("lobe"):
        return None
    mention = nodules[0][0]
    return Filled("upper" in (mention.location or ""), text.at, _said(text, mention))


def _emphysema(facts: Facts, _: Input) -> Filled | None:
    text = facts.text()
    for mention in facts.mentions(frozenset({"emphysema"})):
        if text is not None and mention.assertion in ("present", "absent"):
            return Filled(mention.assertion == "present", text.at, _said(text, mention))
    return None


def _birads(facts: Facts, _: Input) -> Filled | None:
    text = facts.text()
    category = text.report.scores.get("birads") if text is not None else None
    if text is None or category is None:
        return None
    return Filled(str(category).upper(), text.at, Evidence(kind="report", reference=text.reference, detail="BI-RADS"))


def _measurement(facts: Facts, item: Input) -> Filled | None:
    film = facts.film()
    measured = {} if film is None else {m.name: m for m in film.result.measurements if m.value is not None}
    found = measured.get(item.name) or measured.get(item.name.removesuffix("_mm"))
    if film is None or found is None or found.unit != "mm":
        return None
    return Filled(found.value, film.at, _seen(film, found.name))


def _view(facts: Facts, _: Input) -> Filled | None:
    film = facts.film()
    if film is None or film.result.view == "unknown":
        return None
    return Filled(film.result.view, film.at, _seen(film, "view"))


def _egfr(facts: Facts, _: Input) -> Filled | None:
    reported = facts.observation("egfr", timedelta(days=30))
    creatinine = facts.observation("creatinine_mg_dl", timedelta(days=30))
    if reported is not None and (creatinine is None or (reported.at or facts.at) >= (creatinine.at or facts.at)):
        return reported
    years, gender = facts.patient.age_at(facts.at), facts.patient.sex
    if creatinine is None or years is None or years < 18 or gender not in ("male", "female"):
        return None
    result = CKD_EPI_2021.calculate({"creatinine_mg_dl": creatinine.value, "age": years, "sex": gender})
    return Filled(result["score"], creatinine.at, creatinine.evidence)


def _contrast_reaction(facts: Facts, _: Input) -> Filled | None:
    allergy = facts.patient.allergy("iodinated_contrast")
    if allergy is not None:
        return Filled(True, None, _from_record(allergy.reference, "allergy to iodinated contrast"))
    return facts.condition(["contrast_reaction"])


def _smokes(facts: Facts, _: Input) -> Filled | None:
    return _smoking(facts, {"current": True, "former": False, "never": False})


def _ever_smoked(facts: Facts, _: Input) -> Filled | None:
    return _smoking(facts, {"current": True, "former": True, "never": False})


def _smoking(facts: Facts, meaning: Mapping[str, bool]) -> Filled | None:
    smoking = facts.patient.smoking
    known = meaning.get(smoking.status or "")
    return (
        None if known is None else Filled(known, None, _from_record(smoking.reference or "Patient", "smoking status"))
    )


def _since_quit(facts: Facts, _: Input) -> Filled | None:
    smoking = facts.patient.smoking
    evidence = _from_record(smoking.reference or "Patient", "smoking status")
    if smoking.status == "current":
        return Filled(0, None, evidence)
    if smoking.quit_on is None:
        return None
    return Filled(round((facts.at.date() - smoking.quit_on).days / _DAYS_A_YEAR, 2), None, evidence)


def _pack_years(facts: Facts, _: Input) -> Filled | None:
    return facts.observation("pack_years", None)


def _dimer_unit(facts: Facts, _: Input) -> Filled | None:
    for key, unit in (("d_dimer_ng_ml_feu", "FEU"), ("d_dimer_ng_ml_ddu", "DDU")):
        found = facts.observation(key, DAY)
        if found is not None:
            return Filled(unit, found.at, found.evidence)
    return None


def _said(text: ReportInput, mention: Mention) -> Evidence:
    detail = f"{mention.finding} {mention.assertion}"
    return Evidence(kind="report", reference=text.reference, detail=detail, start=mention.start, end=mention.end)


def _seen(film: ImagingInput, detail: str) -> Evidence:
    return Evidence(kind="imaging", reference=film.reference, detail=detail)


_FINDERS: Mapping[str, Callable[[Facts, Input], Filled | None]] = {
    "age": _age,
    "sex": _sex,
    "pregnant": _pregnant,
    "consciousness": _consciousness,
    "confusion": _confusion,
    "pleural_effusion": _effusion,
    "multilobar": _multilobar,
    "nodule:size": _nodule_size,
    "nodule:multiple": _several_nodules,
    "nodule:upper_lobe": _upper_lobe,
    "nodule:emphysema": _emphysema,
    "birads": _birads,
    "measurement": _measurement,
    "view": _view,
    "egfr": _egfr,
    "contrast_reaction": _contrast_reaction,
    "current_smoker": _smokes,
    "ever_smoker": _ever_smoked,
    "years_since_quit": _since_quit,
    "pack_years": _pack_years,
    "d_dimer_unit": _dimer_unit,
}
