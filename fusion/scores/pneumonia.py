"""Severity of community-acquired pneumonia: CURB-65, CRB-65, PSI/PORT, SMART-COP, severe CAP of ATS/IDSA."""

from __future__ import annotations

import math

from fusion.scores.definition import Results, ScoreDefinition, Values, band_of
from fusion.scores.inputs import (
    DAY,
    Input,
    age,
    flag,
    heart_rate,
    laboratory,
    number,
    respiratory_rate,
    sex,
    spo2_percent,
    systolic_bp,
    temperature_c,
)
from fusion.scores.points import (
    Item,
    Points,
    Tally,
    above,
    at_least,
    at_most,
    below,
    is_above,
    is_at_least,
    is_at_most,
    is_below,
    when,
)

_OXYGENATION = "oxygenation"
_CONFUSION = flag("confusion", "confusion")
_MULTILOBAR = flag("multilobar_infiltrates", "multilobar")
_EFFUSION = flag("pleural_effusion", "pleural_effusion")


def _ph() -> Input:
    return laboratory("arterial_ph", "[pH]", 6.3, 8.0, 7.3, 7.4, loinc="2744-1")


def _bun(*tries: float) -> Input:
    return laboratory("bun_mg_dl", "mg/dL", 0, 400, *tries, loinc="3094-0")


def _pao2(*tries: float) -> Input:
    return laboratory("pao2_mmhg", "mm[Hg]", 5, 760, *tries, loinc="2703-7", group=_OXYGENATION)


def _pao2_fio2(*tries: float, group: str | None = None) -> Input:
    return laboratory("pao2_fio2_mmhg", "mm[Hg]", 5, 1000, *tries, loinc="50984-4", group=group)


_CRB_ITEMS = (
    when("confusion", 1),
    at_least("respiratory_rate", 30, 1),
    Item(("systolic_bp", "diastolic_bp"), lambda high, low: int(is_below(high, 90) or is_at_most(low, 60))),
    at_least("age", 65, 1),
)
_CRB_INPUTS = (
    _CONFUSION,
    respiratory_rate(18, 30),
    systolic_bp(80, 120),
    number("diastolic_bp", "mm[Hg]", 0, 250, 50, 80, loinc=("8462-4",), freshness=DAY),
    age(40, 70),
)
_LIM = "Lim WS, Thorax 2003;58:377; BTS CAP guideline 2009"


def _curb65_outcome(tally: Tally, _: Values) -> Results:
    return {"score": tally[0], "band": band_of(tally[0], (1, "low"), (2, "intermediate"), (5, "high"))}


def _crb65_outcome(tally: Tally, _: Values) -> Results:
    return {"score": tally[0], "band": band_of(tally[0], (0, "low"), (2, "intermediate"), (4, "high"))}


CURB65 = ScoreDefinition(
    "curb65",
    "CURB-65",
    (*_CRB_INPUTS, laboratory("urea_mmol_l", "mmol/L", 0, 150, 5, 10, loinc="22664-7")),
    Points((*_CRB_ITEMS, above("urea_mmol_l", 7, 1)), _curb65_outcome),
    _LIM,
    bands="0-1 low, 2 intermediate, 3-5 high (30-day mortality below 3 %, about 9 %, 15-40 %)",
)
CRB65 = ScoreDefinition(
    "crb65",
    "CRB-65",
    _CRB_INPUTS,
    Points(_CRB_ITEMS, _crb65_outcome),
    _LIM,
    bands="0 low, 1-2 intermediate, 3-4 high",
)


def _leaves_class_one(points: float) -> Tally:
    return (points, int(points > 0))


def _stays_in_class(points: float) -> Tally:
    return (points, 0)


def _years(years: float | None, gender: str | None) -> float:
    return 0 if years is None else years - (10 if gender == "female" else 0)


def _psi_outcome(tally: Tally, values: Values) -> Results:
    points, leaving_class_one = tally
    if not leaving_class_one and values["age"] is not None:
        return {"score": None, "risk_class": "I"}
    return {"score": points, "risk_class": band_of(points, (70, "II"), (90, "III"), (130, "IV"), (math.inf, "V"))}


PSI = ScoreDefinition(
    "psi_port",
    "Pneumonia Severity Index",
    (
        flag("nursing_home_resident", "nursing_home_resident"),
        flag("neoplastic_disease", "condition:cancer"),
        flag("liver_disease", "condition:liver_disease"),
        flag("congestive_heart_failure", "condition:heart_failure"),
        flag("cerebrovascular_disease", "condition:stroke"),
        flag("renal_disease", "condition:chronic_kidney_disease|end_stage_renal_disease|dialysis"),
        flag("altered_mental_status", "confusion"),
        respiratory_rate(18, 30),
        systolic_bp(80, 120),
        temperature_c(34, 37),
        heart_rate(80, 130),
        _ph(),
        _bun(15, 40),
        laboratory("sodium_mmol_l", "mmol/L", 80, 220, 120, 140, loinc="2951-2"),
        laboratory("glucose_mg_dl", "mg/dL", 0, 3000, 100, 300, loinc="2345-7"),
        laboratory("hematocrit_percent", "%", 1, 80, 20, 40, loinc="4544-3"),
        _pao2(50, 80),
        spo2_percent(80, 97, group=_OXYGENATION),
        _EFFUSION,
        age(18, 50, 51, 130),
        sex(),
    ),
    Points(
        (
            Item(("age", "sex"), _years, _stays_in_class),
            above("age", 50, 1).counted(lambda older: (0, older)),
            *(
                item.counted(_leaves_class_one)
                for item in (
                    when("neoplastic_disease", 30),
                    when("liver_disease", 20),
                    when("congestive_heart_failure", 10),
                    when("cerebrovascular_disease", 10),
                    when("renal_disease", 10),
                    when("altered_mental_status", 20),
                    at_least("respiratory_rate", 30, 20),
                    below("systolic_bp", 90, 20),
                    Item(("temperature_c",), lambda t: 15 if is_below(t, 35) or is_at_least(t, 40) else 0),
                    at_least("heart_rate", 125, 10),
                )
            ),
            *(
                item.counted(_stays_in_class)
                for item in (
                    when("nursing_home_resident", 10),
                    below("arterial_ph", 7.35, 30),
                    at_least("bun_mg_dl", 30, 20),
                    below("sodium_mmol_l", 130, 20),
                    at_least("glucose_mg_dl", 250, 10),
                    below("hematocrit_percent", 30, 10),
                    Item(
                        ("pao2_mmhg", "spo2_percent"),
                        lambda gas, oximeter: 10 if is_below(gas, 60) or is_below(oximeter, 90) else 0,
                    ),
                    when("pleural_effusion", 10),
                )
            ),
        ),
        _psi_outcome,
    ),
    "Fine MJ, N Engl J Med 1997;336:243 (PaO2 < 60 mmHg or SaO2 < 90 %)",
    needs=frozenset({"age"}),
    band="risk_class",
    bands="class I by step 1; II up to 70, III 71-90, IV 91-130, V above 130",
    missing_as_normal=True,
)


def _fast_breathing(rate: float | None, years: float | None) -> int:
    return int(is_at_least(rate, 30 if is_above(years, 50) else 25))


def _poor_oxygenation(gas: float | None, oximeter: float | None, ratio: float | None, years: float | None) -> int:
    older = is_above(years, 50)
    poor = (
        is_below(gas, 60 if older else 70)
        or is_at_most(oximeter, 90 if older else 93)
        or is_below(ratio, 250 if older else 333)
    )
    return 2 if poor else 0


def _smart_cop_outcome(tally: Tally, _: Values) -> Results:
    limits = (2, "low"), (4, "moderate"), (6, "high"), (11, "very_high")
    return {"score": tally[0], "band": band_of(tally[0], *limits)}


SMART_COP = ScoreDefinition(
    "smart_cop",
    "SMART-COP",
    (
        _pao2(50, 65, 80),
        spo2_percent(88, 92, 97, group=_OXYGENATION),
        _pao2_fio2(200, 300, 400, group=_OXYGENATION),
        age(40, 60),
        systolic_bp(80, 120),
        _MULTILOBAR,
        laboratory("albumin_g_dl", "g/dL", 0, 10, 3, 4, loinc="1751-7"),
        respiratory_rate(18, 27, 32),
        heart_rate(80, 130),
        _CONFUSION,
        _ph(),
    ),
    Points(
        (
            below("systolic_bp", 90, 2),
            when("multilobar_infiltrates", 1),
            below("albumin_g_dl", 3.5, 1),
            Item(("respiratory_rate", "age"), _fast_breathing),
            at_least("heart_rate", 125, 1),
            when("confusion", 1),
            Item(("pao2_mmhg", "spo2_percent", "pao2_fio2_mmhg", "age"), _poor_oxygenation),
            below("arterial_ph", 7.35, 2),
        ),
        _smart_cop_outcome,
    ),
    "Charles PG, Clin Infect Dis 2008;47:375",
    bands="0-2 low, 3-4 moderate, 5-6 high, 7-11 very high risk of respiratory or vasopressor support",
)


def _major(name: str) -> Item:
    return when(name, 1).counted(lambda points: (points, 0))


def _minor(item: Item) -> Item:
    return item.counted(lambda points: (0, points))


def _severe_cap_outcome(tally: Tally, _: Values) -> Results:
    major, minor = tally
    return {"major": major, "minor": minor, "severe": major >= 1 or minor >= 3}


SEVERE_CAP = ScoreDefinition(
    "severe_cap",
    "Severe pneumonia (ATS/IDSA)",
    (
        flag("mechanical_ventilation", "mechanical_ventilation"),
        flag("vasopressors", "vasopressors"),
        respiratory_rate(18, 30),
        _pao2_fio2(200, 400),
        _MULTILOBAR,
        _CONFUSION,
        _bun(15, 25),
        laboratory("leukocytes_10e9_l", "10*9/L", 0, 1000, 3, 8, loinc="6690-2"),
        laboratory("platelets_10e9_l", "10*9/L", 0, 5000, 50, 250, loinc="777-3"),
        temperature_c(35, 37),
        flag("aggressive_fluids"),
    ),
    Points(
        (
            _major("mechanical_ventilation"),
            _major("vasopressors"),
            _minor(at_least("respiratory_rate", 30, 1)),
            _minor(at_most("pao2_fio2_mmhg", 250, 1)),
            _minor(when("multilobar_infiltrates", 1)),
            _minor(when("confusion", 1)),
            _minor(at_least("bun_mg_dl", 20, 1)),
            _minor(below("leukocytes_10e9_l", 4, 1)),
            _minor(below("platelets_10e9_l", 100, 1)),
            _minor(below("temperature_c", 36, 1)),
            _minor(when("aggressive_fluids", 1)),
        ),
        _severe_cap_outcome,
    ),
    "Mandell LA, Clin Infect Dis 2007;44(S2):S27; Metlay JP, Am J Respir Crit Care Med 2019;200:e45",
    number="minor",
    counts=("major",),
    band="severe",
    bands="severe with one major or three minor criteria",
)

SCORES = (CURB65, CRB65, PSI, SMART_COP, SEVERE_CAP)
