"""Which scores mean something for a patient, and what they say."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

from fusion.assessment import InputUsed, ScoreResult
from fusion.errors import ScoreInputError
from fusion.facts import Patient
from fusion.modalities import ImagingInput, ReportInput
from fusion.scores.definition import ScoreDefinition
from fusion.scores.filling import Facts
from fusion.scores.inputs import DAY
from fusion.scores.registry import SCORES

_VITALS = ("respiratory_rate", "spo2_percent", "systolic_bp", "heart_rate", "temperature_c")
_PNEUMONIA = ("pneumonia", "lung_opacity", "consolidation", "infiltration", "paediatric_pneumonia")
_CONTRAST_STUDIES = ("with_contrast", "angiography")
_SUSPECTED_EMBOLISM = frozenset({"ct_pulmonary_angiography", "vq_scan", "d_dimer"})


def score_patient(
    definition: ScoreDefinition | str,
    patient: Patient,
    imaging: ImagingInput | None,
    report: ReportInput | None,
    at: datetime,
) -> ScoreResult:
    """Return a score, by definition or name, with its inputs filled from record, film and report.

    A value of the record that the score refuses as impossible is left out and listed as missing.
    """
    chosen = SCORES[definition] if isinstance(definition, str) else definition
    return _scored(chosen, Facts(patient, imaging, report, at))


def assess_scores(
    patient: Patient,
    imaging: ImagingInput | None,
    report: ReportInput | None,
    at: datetime,
    orders: Collection[str] = (),
) -> tuple[ScoreResult, ...]:
    """Return the scores that mean something for this patient now; `orders` are the orderable keys being drafted."""
    facts = Facts(patient, imaging, report, at)
    names = dict.fromkeys(_relevant(facts, orders))
    return tuple(_scored(SCORES[name], facts) for name in names)


def relevant(
    patient: Patient,
    imaging: ImagingInput | None,
    report: ReportInput | None,
    at: datetime,
    orders: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the names of the scores that mean something for this patient now, `orders` by orderable key."""
    return tuple(dict.fromkeys(_relevant(Facts(patient, imaging, report, at), orders)))


def _relevant(facts: Facts, orders: Collection[str]) -> Iterator[str]:
    patient = facts.patient
    infection = _suspected(facts, _PNEUMONIA) or patient.condition("pneumonia") is not None
    if any(_has(facts, key, DAY) for key in _VITALS):
        yield "news2"
        if infection or patient.condition("fever") or _has(facts, "leukocytes_10e9_l", 2 * DAY):
            yield from ("qsofa", "sirs")
    if infection:
        yield "curb65"
        if not _has(facts, "urea_mmol_l", 2 * DAY):
            yield "crb65"
        yield from ("psi_port", "smart_cop", "severe_cap")
    if _SUSPECTED_EMBOLISM & set(orders):
        yield from ("wells_pe", "perc", "revised_geneva", "years")
    if _has(facts, "d_dimer_ng_ml_feu", DAY) or _has(facts, "d_dimer_ng_ml_ddu", DAY):
        yield from ("years", "age_adjusted_d_dimer")
    yield from _of_imaging(facts)
    yield from _of_record(facts, orders)


def _of_imaging(facts: Facts) -> Iterator[str]:
    mentions = facts.mentions(frozenset({"lung_nodule", "nodular_opacity"}))
    if any(mention.assertion == "present" and mention.measurements for mention in mentions):
        yield from ("fleischner2017", "brock_full", "mayo_spn")
    text, film = facts.text(), facts.film()
    if text is not None and text.report.scores.get("birads") is not None:
        yield "birads_management"
    if film is not None and any(m.name.startswith("cardiac_width") for m in film.result.measurements):
        yield "cardiothoracic_ratio"
    if _suspected(facts, ("tuberculosis", "cavitary_tuberculosis")) or facts.patient.condition("hiv") is not None:
        yield "who_w4ss"


def _of_record(facts: Facts, orders: Collection[str]) -> Iterator[str]:
    patient = facts.patient
    if patient.smoking.pack_years is not None:
        yield "uspstf2021_ldct"
    if _has(facts, "nt_probnp_pg_ml", 7 * DAY):
        yield "nt_probnp_acute"
    if patient.condition("atrial_fibrillation") is not None:
        yield "cha2ds2_vasc"
    if _has(facts, "creatinine_mg_dl", 30 * DAY):
        yield "ckd_epi_2021"
    if any(word in order for order in orders for word in _CONTRAST_STUDIES):
        yield "contrast_gate"
        if patient.medication("metformin", on=facts.at.date()) is not None:
            yield "metformin_iv_contrast"
    if _has(facts, "pleural_ldh_u_l", 7 * DAY) or _has(facts, "pleural_protein_g_dl", 7 * DAY):
        yield "light_criteria"


def _suspected(facts: Facts, findings: Collection[str]) -> bool:
    """Return whether the report asserts one of the findings, or, where it is silent, the film shows one."""
    said = facts.mentions(frozenset(findings))
    if said:
        return any(mention.assertion in ("present", "possible") for mention in said)
    film = facts.film()
    return film is not None and any(f.label for f in film.result.findings if f.key in findings)


def _has(facts: Facts, key: str, within: timedelta) -> bool:
    return facts.patient.latest(key, at=facts.at, within=within) is not None


def _scored(definition: ScoreDefinition, facts: Facts) -> ScoreResult:
    used: list[InputUsed] = []
    values: dict[str, Any] = {}
    for item in definition.accepted.values():
        filled = facts.fill(item)
        if filled is None:
            continue
        try:
            values[item.name] = item.checked(filled.value)
        except ScoreInputError:
            continue
        used.append(filled)
    result = definition.calculate(values)
    return ScoreResult(
        name=definition.name,
        title=definition.title,
        status=result["status"],
        reason=result.get("reason"),
        value=result.get(definition.number or "score", _rest(definition, result)),
        minimum=result.get("minimum"),
        maximum=result.get("maximum"),
        possible=tuple(result["possible"]) if "possible" in result else None,
        band=_shown(result.get(definition.band or "")),
        inputs=tuple(used),
        missing=tuple(result["missing"]),
        citation=definition.citation,
        version=definition.version,
    )


def _rest(definition: ScoreDefinition, result: dict[str, Any]) -> dict[str, Any] | None:
    names = definition.rule.observed(dict.fromkeys(item.name for item in definition.inputs))
    values = {name: result[name] for name in names}
    return None if all(value is None for value in values.values()) else values


def _shown(band: Any) -> str | None:
    if band is None:
        return None
    return {True: "yes", False: "no"}[band] if isinstance(band, bool) else str(band)
