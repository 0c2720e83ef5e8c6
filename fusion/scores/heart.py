"""Heart: NT-proBNP in acute dyspnoea, cardiothoracic ratio, CHA2DS2-VASc."""

from __future__ import annotations

from fusion.errors import ScoreInputError
from fusion.scores.definition import Formula, Results, ScoreDefinition, Values
from fusion.scores.inputs import age, choice, flag, laboratory, number, sex
from fusion.scores.points import Item, Points, steps, when


def _nt_probnp(values: Values) -> Results:
    years, peptide = values["age"], values["nt_probnp_pg_ml"]
    if peptide is None:
        return {"score": None}
    if peptide < 300:
        return {"score": "rule_out"}
    if years is None:
        return {"score": None}
    cut_off = 450 if years < 50 else 900 if years <= 75 else 1800
    return {"score": "rule_in" if peptide >= cut_off else "grey"}


NT_PROBNP = ScoreDefinition(
    "nt_probnp_acute",
    "NT-proBNP in acute dyspnoea",
    (age(40, 60, 80), laboratory("nt_probnp_pg_ml", "pg/mL", 0, 300000, 100, 350, 500, 1000, 2000, loinc="33762-6")),
    Formula(_nt_probnp),
    "Bayes-Genis A, Eur J Heart Fail 2023;25:1891; ESC heart failure guideline 2021 (75 years: cut-off 900)",
    number=None,
    band="score",
    bands="rule_out below 300; rule_in from 450 (under 50 years), 900 (50-75), 1800 (over 75); grey between",
)


def _ratio(values: Values) -> Results:
    heart, chest, projection = values["cardiac_width_mm"], values["thoracic_width_mm"], values["projection"]
    if heart is None or chest is None:
        return {"ctr": None, "enlarged": None}
    ratio = min(heart / chest, 1.0)
    return {"ctr": round(ratio, 3), "enlarged": ratio > 0.5 if projection == "PA" else None}


def _heart_fits_chest(values: Values) -> None:
    heart, chest = values["cardiac_width_mm"], values["thoracic_width_mm"]
    if heart is not None and chest is not None and heart >= chest:
        raise ScoreInputError("cardiac_width_mm: expected less than thoracic_width_mm")


CARDIOTHORACIC_RATIO = ScoreDefinition(
    "cardiothoracic_ratio",
    "Cardiothoracic ratio",
    (
        number("cardiac_width_mm", "mm", 10, 400, fact="measurement"),
        number("thoracic_width_mm", "mm", 50, 600, fact="measurement"),
        choice("projection", ("PA", "AP", "portable", "supine", "lateral"), fact="view"),
    ),
    Formula(_ratio),
    "widest cardiac over widest inner thoracic diameter; > 0.50 enlarged on a PA upright film of an adult",
    number="ctr",
    needs=frozenset({"cardiac_width_mm", "thoracic_width_mm"}),
    band="enlarged",
    bands="enlarged above 0.50 on a PA film; not assessable on any other projection",
    check=_heart_fits_chest,
)

CHA2DS2_VASC = ScoreDefinition(
    "cha2ds2_vasc",
    "CHA2DS2-VASc",
    (
        age(50, 70, 80),
        sex(),
        flag("congestive_heart_failure", "condition:heart_failure"),
        flag("hypertension", "condition:hypertension"),
        flag("diabetes", "condition:diabetes"),
        flag("stroke_tia_thromboembolism", "condition:stroke"),
        flag("vascular_disease", "condition:vascular_disease"),
    ),
    Points(
        (
            steps("age", (65, 0), (75, 1), otherwise=2),
            Item(("sex",), lambda gender: int(gender == "female")),
            when("congestive_heart_failure", 1),
            when("hypertension", 1),
            when("diabetes", 1),
            when("stroke_tia_thromboembolism", 2),
            when("vascular_disease", 1),
        ),
        lambda tally, _: {"score": tally[0]},
    ),
    "Lip GY, Chest 2010;137:263 (with the point for sex; ESC 2024 leaves it out)",
    band=None,
    bands="0-9 points; for atrial fibrillation",
)

SCORES = (NT_PROBNP, CARDIOTHORACIC_RATIO, CHA2DS2_VASC)
