"""Suspected pulmonary embolism: Wells, PERC, revised Geneva, YEARS, age-adjusted D-dimer."""

from __future__ import annotations

import math

from fusion.scores.definition import Formula, Population, Results, ScoreDefinition, Values, band_of
from fusion.scores.inputs import age, choice, flag, heart_rate, laboratory, spo2_percent
from fusion.scores.points import Points, Tally, above, at_least, below, steps, when

_NOT_PREGNANT = Population("adults, not in pregnancy (use the pregnancy-adapted YEARS)", pregnancy=False)
_VTE = flag("previous_vte", "condition:venous_thromboembolism")
_HEMOPTYSIS = flag("hemoptysis", "condition:haemoptysis")
_CANCER = flag("active_cancer", "condition:cancer")
_DVT_SIGNS = flag("signs_of_dvt")
_PE_LIKELY = flag("pe_most_likely_diagnosis")


def _wells_outcome(tally: Tally, _: Values) -> Results:
    score = float(tally[0])
    three = "low" if score < 2 else "moderate" if score <= 6 else "high"
    return {"score": score, "two_tier": "likely" if score > 4 else "unlikely", "three_tier": three}


WELLS_PE = ScoreDefinition(
    "wells_pe",
    "Wells (pulmonary embolism)",
    (_DVT_SIGNS, _PE_LIKELY, heart_rate(80, 110), flag("immobilisation_or_surgery"), _VTE, _HEMOPTYSIS, _CANCER),
    Points(
        (
            when("signs_of_dvt", 3),
            when("pe_most_likely_diagnosis", 3),
            above("heart_rate", 100, 1.5),
            when("immobilisation_or_surgery", 1.5),
            when("previous_vte", 1.5),
            when("hemoptysis", 1),
            when("active_cancer", 1),
        ),
        _wells_outcome,
    ),
    "Wells PS, Thromb Haemost 2000;83:416",
    band="two_tier",
    bands="up to 4 unlikely, above 4 likely; below 2 low, 2-6 moderate, above 6 high",
    population=_NOT_PREGNANT,
    missing_as_normal=True,
)

PERC = ScoreDefinition(
    "perc",
    "PERC",
    (
        age(40, 60),
        heart_rate(80, 110),
        spo2_percent(92, 97),
        _HEMOPTYSIS,
        flag("estrogen_use", "medication:oestrogen"),
        _VTE,
        flag("unilateral_leg_swelling"),
        flag("recent_surgery_or_trauma"),
    ),
    Points(
        (
            at_least("age", 50, 1),
            at_least("heart_rate", 100, 1),
            below("spo2_percent", 95, 1),
            when("hemoptysis", 1),
            when("estrogen_use", 1),
            when("previous_vte", 1),
            when("unilateral_leg_swelling", 1),
            when("recent_surgery_or_trauma", 1),
        ),
        lambda tally, _: {"count": tally[0], "perc_negative": tally[0] == 0},
    ),
    "Kline JA, J Thromb Haemost 2004;2:1247",
    number="count",
    band="perc_negative",
    bands="0 positive items and a gestalt below 15 %: no further test",
    population=_NOT_PREGNANT,
)


def _geneva_outcome(tally: Tally, _: Values) -> Results:
    return {"score": tally[0], "band": band_of(tally[0], (3, "low"), (10, "intermediate"), (math.inf, "high"))}


REVISED_GENEVA = ScoreDefinition(
    "revised_geneva",
    "Revised Geneva",
    (
        age(50, 70),
        _VTE,
        flag("surgery_or_fracture_last_month"),
        _CANCER,
        flag("unilateral_limb_pain"),
        _HEMOPTYSIS,
        heart_rate(60, 80, 110),
        flag("pain_on_palpation_and_edema"),
    ),
    Points(
        (
            above("age", 65, 1),
            when("previous_vte", 3),
            when("surgery_or_fracture_last_month", 2),
            when("active_cancer", 2),
            when("unilateral_limb_pain", 3),
            when("hemoptysis", 2),
            steps("heart_rate", (75, 0), (95, 3), otherwise=5),
            when("pain_on_palpation_and_edema", 4),
        ),
        _geneva_outcome,
    ),
    "Le Gal G, Ann Intern Med 2006;144:165",
    bands="0-3 low, 4-10 intermediate, 11 and over high",
    population=_NOT_PREGNANT,
)


def _years_outcome(tally: Tally, values: Values) -> Results:
    items, dimer = tally[0], values["d_dimer_ng_ml_feu"]
    threshold = 1000 if items == 0 else 500
    return {"items": items, "threshold": threshold, "pe_excluded": None if dimer is None else dimer < threshold}


YEARS = ScoreDefinition(
    "years",
    "YEARS",
    (
        _DVT_SIGNS,
        _HEMOPTYSIS,
        _PE_LIKELY,
        laboratory("d_dimer_ng_ml_feu", "ng/mL{FEU}", 0, 1e6, 300, 700, 2000, loinc="48065-7", days=1),
    ),
    Points((when("signs_of_dvt", 1), when("hemoptysis", 1), when("pe_most_likely_diagnosis", 1)), _years_outcome),
    "van der Hulle T, Lancet 2017;390:289",
    number="items",
    band="pe_excluded",
    bands="0 items: embolism excluded below 1000 ng/mL FEU; 1 or more: below 500",
    population=_NOT_PREGNANT,
)


def _cut_off(values: Values) -> Results:
    years, unit = values["age"], values["d_dimer_unit"]
    if years is None or unit is None:
        return {"score": None}
    per_year, floor = (10, 500) if unit == "FEU" else (5, 250)
    return {"score": per_year * years if years > 50 else floor}


AGE_ADJUSTED_D_DIMER = ScoreDefinition(
    "age_adjusted_d_dimer",
    "Age-adjusted D-dimer cut-off",
    (age(50, 130), choice("d_dimer_unit", ("FEU", "DDU"), fact="d_dimer_unit")),
    Formula(_cut_off),
    "Righini M, JAMA 2014;311:1117",
    needs=frozenset({"age", "d_dimer_unit"}),
    band=None,
    bands="only if pre-test probability is low or unlikely; above the cut-off: CT pulmonary angiography",
)

SCORES = (WELLS_PE, PERC, REVISED_GENEVA, YEARS, AGE_ADJUSTED_D_DIMER)
