"""Pleural fluid: Light's criteria."""

from __future__ import annotations

from fusion.scores.definition import Formula, Results, ScoreDefinition, Values
from fusion.scores.inputs import laboratory, number


def _exceeds(part: float | None, whole: float | None, ratio: float) -> bool:
    return part is not None and whole is not None and part / whole > ratio


def _light(values: Values) -> Results:
    fluid_ldh = values["pleural_ldh_u_l"]
    met = (
        _exceeds(values["pleural_protein_g_dl"], values["serum_protein_g_dl"], 0.5)
        + _exceeds(fluid_ldh, values["serum_ldh_u_l"], 0.6)
        + _exceeds(fluid_ldh, values["serum_ldh_upper_limit_u_l"], 2 / 3)
    )
    return {"criteria_met": met, "exudate": met >= 1}


LIGHT = ScoreDefinition(
    "light_criteria",
    "Light's criteria",
    (
        laboratory("pleural_protein_g_dl", "g/dL", 0, 10, loinc="2881-1"),
        laboratory("serum_protein_g_dl", "g/dL", 0.5, 20, loinc="2885-2"),
        laboratory("pleural_ldh_u_l", "U/L", 0, 200000, loinc="2530-4"),
        laboratory("serum_ldh_u_l", "U/L", 1, 400000, loinc="2532-0"),
        number("serum_ldh_upper_limit_u_l", "U/L", 20, 400000),
    ),
    Formula(_light),
    "Light RW, Ann Intern Med 1972;77:507",
    number="criteria_met",
    band="exudate",
    bands="exudate with any criterion",
)

SCORES = (LIGHT,)
