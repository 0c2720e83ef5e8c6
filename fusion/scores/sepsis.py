"""Sepsis and deterioration at the bedside: NEWS2, qSOFA, SIRS, MEWS; mortality in hospital with COVID-19: 4C."""

from __future__ import annotations

from fusion.scores.definition import Population, Results, ScoreDefinition, Values, band_of
from fusion.scores.inputs import (
    HOUR,
    age,
    choice,
    flag,
    glasgow_coma_scale,
    heart_rate,
    integer,
    laboratory,
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
    half_up,
    is_above,
    is_below,
    step,
    steps,
    when,
)

_ACVPU = ("A", "C", "V", "P", "U")


def _tenths(value: float) -> float:
    return half_up(value, "0.1")


def _spo2_points(percent: float | None, scale: int | None, oxygen: bool | None) -> float:
    if percent is None:
        return 0
    whole = half_up(percent)
    if scale != 2:
        return step(whole, (92, 3), (94, 2), (96, 1), otherwise=0)
    if whole >= 93:
        return step(whole, (95, 1), (97, 2), otherwise=3) if oxygen else 0
    return step(whole, (84, 3), (86, 2), (88, 1), otherwise=0)


def _news2_outcome(tally: Tally, _: Values) -> Results:
    score, reds = tally
    calm = "low-medium" if reds else "low"
    return {"score": score, "red": reds > 0, "band": band_of(score, (4, calm), (6, "medium"), (20, "high"))}


_NEWS2_ITEMS = (
    steps("respiratory_rate", (9, 3), (12, 1), (21, 0), (25, 2), otherwise=3, prepare=half_up),
    Item(("spo2_percent", "spo2_scale", "supplemental_oxygen"), _spo2_points),
    when("supplemental_oxygen", 2),
    steps("systolic_bp", (91, 3), (101, 2), (111, 1), (220, 0), otherwise=3, prepare=half_up),
    steps("heart_rate", (41, 3), (51, 1), (91, 0), (111, 1), (131, 2), otherwise=3, prepare=half_up),
    Item(("consciousness_acvpu",), lambda level: 3 if level in ("C", "V", "P", "U") else 0),
    steps("temperature_c", (35.05, 3), (36.05, 1), (38.05, 0), (39.05, 1), otherwise=2, prepare=_tenths),
)
NEWS2 = ScoreDefinition(
    "news2",
    "NEWS2",
    (
        choice("spo2_scale", (1, 2), optional=True),
        respiratory_rate(8, 10, 16, 22, 26, freshness=HOUR),
        spo2_percent(80, 84, 86, 90, 91, 92, 93, 94, 95, 96, 97, freshness=HOUR),
        flag("supplemental_oxygen", "supplemental_oxygen", freshness=HOUR),
        systolic_bp(85, 95, 105, 120, 230, freshness=HOUR),
        heart_rate(35, 45, 70, 100, 120, 140, freshness=HOUR),
        choice("consciousness_acvpu", _ACVPU, fact="consciousness", loinc=("80288-4",), freshness=HOUR),
        temperature_c(34, 35.5, 37, 38.5, 40, freshness=HOUR),
    ),
    Points(tuple(item.counted(lambda points: (points, int(points == 3))) for item in _NEWS2_ITEMS), _news2_outcome),
    "Royal College of Physicians, National Early Warning Score 2, 2017",
    bands="0-4 low (low-medium with a single 3), 5-6 medium, 7 and over high; SpO2 scale 2 only when prescribed",
    population=Population("from 16 years, not in pregnancy", 16, pregnancy=False),
)


def _positive_from_two(tally: Tally, _: Values) -> Results:
    return {"score": tally[0], "positive": tally[0] >= 2}


QSOFA = ScoreDefinition(
    "qsofa",
    "qSOFA",
    (respiratory_rate(16, 24), systolic_bp(90, 120), glasgow_coma_scale(14, 15)),
    Points(
        (at_least("respiratory_rate", 22, 1), at_most("systolic_bp", 100, 1), below("glasgow_coma_scale", 15, 1)),
        _positive_from_two,
    ),
    "Singer M, JAMA 2016;315:801",
    band="positive",
    bands="positive from 2; not to be used as the only screening tool",
)


def _either(high: float | None, other: float | None, *, above_limit: float, below_limit: float) -> int:
    return int(is_above(high, above_limit) or is_below(other, below_limit))


SIRS = ScoreDefinition(
    "sirs",
    "SIRS",
    (
        respiratory_rate(16, 24, group="breathing"),
        laboratory("paco2_mmhg", "mm[Hg]", 5, 250, 25, 40, loinc="2019-8", group="breathing"),
        laboratory("leukocytes_10e9_l", "10*9/L", 0, 1000, 3, 8, 15, loinc="6690-2", group="white_cells"),
        laboratory("band_forms_percent", "%", 0, 100, 5, 15, loinc="26508-2", group="white_cells"),
        temperature_c(35, 37, 39),
        heart_rate(80, 100),
    ),
    Points(
        (
            Item(("temperature_c",), lambda value: _either(value, value, above_limit=38, below_limit=36)),
            above("heart_rate", 90, 1),
            Item(("respiratory_rate", "paco2_mmhg"), lambda r, c: _either(r, c, above_limit=20, below_limit=32)),
            Item(
                ("leukocytes_10e9_l", "band_forms_percent"),
                lambda white, bands: int(
                    bool(_either(white, white, above_limit=12, below_limit=4)) or is_above(bands, 10)
                ),
            ),
        ),
        _positive_from_two,
    ),
    "Bone RC, Chest 1992;101:1644",
    band="positive",
    bands="positive from 2",
)

MEWS = ScoreDefinition(
    "mews",
    "MEWS",
    (
        systolic_bp(60, 75, 90, 120, 210, freshness=HOUR),
        heart_rate(35, 45, 70, 105, 120, 140, freshness=HOUR),
        respiratory_rate(8, 12, 18, 25, 32, freshness=HOUR),
        temperature_c(34, 37, 39, freshness=HOUR),
        choice("consciousness_avpu", _ACVPU, fact="consciousness", loinc=("80288-4",), freshness=HOUR),
    ),
    Points(
        (
            Item(("systolic_bp",), lambda v: 0 if v is None else _mews_pressure(v)),
            Item(("heart_rate",), lambda v: 0 if v is None else _mews_pulse(v)),
            steps("respiratory_rate", (9, 2), (15, 0), (21, 1), (30, 2), otherwise=3),
            steps("temperature_c", (35, 2), (38.5, 0), otherwise=2),
            Item(("consciousness_avpu",), lambda level: {"C": 1, "V": 1, "P": 2, "U": 3}.get(level, 0)),
        ),
        lambda tally, _: {"score": tally[0]},
    ),
    "Subbe CP, QJM 2001;94:521",
    band=None,
    bands="5 and over escalates",
)


def _mews_pressure(value: float) -> int:
    limits = ((70, 3), (80, 2), (100, 1))
    return next((points for limit, points in limits if value <= limit), 2 if value >= 200 else 0)


def _mews_pulse(value: float) -> int:
    limits = ((40, 2), (50, 1), (100, 0), (110, 1))
    return next((points for limit, points in limits if value <= limit), 3 if value >= 130 else 2)


def _isaric_outcome(tally: Tally, _: Values) -> Results:
    limits = (3, "low"), (8, "intermediate"), (14, "high"), (21, "very_high")
    return {"score": tally[0], "band": band_of(tally[0], *limits)}


ISARIC_4C = ScoreDefinition(
    "isaric_4c_mortality",
    "ISARIC 4C Mortality",
    (
        age(40, 55, 65, 75, 85),
        sex(),
        integer("comorbidity_count", "{count}", 0, 30, 0, 1, 2),
        respiratory_rate(18, 25, 32),
        spo2_percent(88, 97),
        glasgow_coma_scale(14, 15),
        laboratory("urea_mmol_l", "mmol/L", 0, 150, 5, 10, 20, loinc="22664-7"),
        laboratory("crp_mg_l", "mg/L", 0, 1500, 20, 70, 150, loinc="1988-5"),
    ),
    Points(
        (
            steps("age", (50, 0), (60, 2), (70, 4), (80, 6), otherwise=7),
            Item(("sex",), lambda gender: int(gender == "male")),
            steps("comorbidity_count", (1, 0), (2, 1), otherwise=2),
            steps("respiratory_rate", (20, 0), (30, 1), otherwise=2),
            below("spo2_percent", 92, 2),
            below("glasgow_coma_scale", 15, 2),
            Item(("urea_mmol_l",), lambda urea: 3 if is_above(urea, 14) else int(urea is not None and urea >= 7)),
            steps("crp_mg_l", (50, 0), (100, 1), otherwise=2),
        ),
        _isaric_outcome,
    ),
    "Knight SR, BMJ 2020;370:m3339",
    bands="0-3 low, 4-8 intermediate, 9-14 high, 15 and over very high; SpO2 on room air",
    population=Population("adults in hospital with COVID-19"),
)

SCORES = (NEWS2, QSOFA, SIRS, MEWS, ISARIC_4C)
