"""Lung cancer screening: PLCOm2012, USPSTF 2021 eligibility, Lung-RADS v2022 categories by size."""

from __future__ import annotations

import math
from collections.abc import Callable

from fusion.scores.definition import Formula, Population, Results, ScoreDefinition, Values
from fusion.scores.inputs import age, choice, flag, integer, number

_RACES = {
    "white": 0.0,
    "american_indian_alaska_native": 0.0,
    "black": 0.3944778,
    "hispanic": -0.7434744,
    "asian": -0.466585,
    "native_hawaiian_pacific_islander": 1.027152,
}


def _plco(values: Values) -> Results:
    numbers = ("age", "education_level", "bmi", "cigarettes_per_day", "smoking_years")
    quit_years = 0 if values["current_smoker"] else values["years_since_quit"]
    if quit_years is None or any(values[name] is None for name in numbers):
        return {"score": None}
    x = (
        0.0778868 * (values["age"] - 62)
        - 0.0812744 * (values["education_level"] - 4)
        - 0.0274194 * (values["bmi"] - 27)
        + 0.3553063 * bool(values["copd"])
        + 0.4589971 * bool(values["personal_history_cancer"])
        + 0.5871850 * bool(values["family_history_lung_cancer"])
        + 0.2597431 * bool(values["current_smoker"])
        - 1.822606 * ((values["cigarettes_per_day"] / 10) ** -1 - 0.4021541613)
        + 0.0317321 * (values["smoking_years"] - 27)
        - 0.0308572 * (quit_years - 10)
        - 4.532506
        + _RACES.get(values["race"], 0.0)
    )
    return {"score": round(100 / (1 + math.exp(-x)), 6)}


PLCO = ScoreDefinition(
    "plcom2012",
    "PLCOm2012 (lung cancer within 6 years)",
    (
        age(18, 130),
        choice("race", tuple(_RACES), optional=True),
        integer("education_level", "{level}", 1, 6),
        number("bmi", "kg/m2", 8, 120, loinc=("39156-5",)),
        flag("copd", "condition:copd"),
        flag("personal_history_cancer", "condition:cancer"),
        flag("family_history_lung_cancer", "family_history_lung_cancer"),
        flag("current_smoker", "current_smoker"),
        number("cigarettes_per_day", "/d", 0.1, 200),
        number("smoking_years", "a", 0, 100),
        number("years_since_quit", "a", 0, 100, fact="years_since_quit"),
    ),
    Formula(_plco),
    "Tammemagi MC, N Engl J Med 2013;368:728 (race optional: left out it counts as 0, which is not the raceless refit)",
    needs=frozenset({"age", "education_level", "bmi", "cigarettes_per_day", "smoking_years", "years_since_quit"}),
    band=None,
    bands="percent in 6 years; ever-smokers only; years since quitting count as 0 in current smokers",
    population=Population("ever-smokers"),
)


def _uspstf(values: Values) -> Results:
    years, packs, smokes, since = (values[name] for name in ("age", "pack_years", "current_smoker", "years_since_quit"))
    if (years is not None and not 50 <= years <= 80) or (packs is not None and packs < 20):
        return {"score": False}
    recent = True if smokes else None if smokes is None and since is None else since is not None and since <= 15
    if recent is False or (smokes is False and since is None):
        return {"score": False if recent is False and since is not None else None}
    return {"score": None if years is None or packs is None or recent is None else True}


USPSTF = ScoreDefinition(
    "uspstf2021_ldct",
    "USPSTF 2021 lung cancer screening",
    (
        age(40, 60, 85),
        number("pack_years", "{pack-years}", 0, 400, 10, 30, loinc=("8664-5",), fact="pack_years"),
        flag("current_smoker", "current_smoker"),
        number("years_since_quit", "a", 0, 100, 5, 20, fact="years_since_quit"),
    ),
    Formula(_uspstf),
    "USPSTF, JAMA 2021;325:962",
    number=None,
    band="score",
    bands="eligible: 50-80 years, 20 pack-years and over, smoking now or quit at most 15 years ago",
    population=Population("adults without symptoms of lung cancer"),
)

_SCREENING = Population("nodules on a screening CT; never incidental ones", None)
_LUNG_RADS = "ACR Lung-RADS v2022"


def _by_diameter(*limits: tuple[float, str], otherwise: str) -> Callable[[Values], Results]:
    def category(values: Values) -> Results:
        size = values["mean_diameter_mm"]
        if size is None:
            return {"score": None}
        return {"score": next((name for limit, name in limits if size < limit), otherwise)}

    return category


SOLID_BASELINE = ScoreDefinition(
    "lungrads2022_solid_baseline",
    "Lung-RADS v2022, solid nodule at baseline",
    (number("mean_diameter_mm", "mm", 0, 300, 4, 7, 10, 20),),
    Formula(_by_diameter((6, "2"), (8, "3"), (15, "4A"), otherwise="4B")),
    _LUNG_RADS,
    number=None,
    band="score",
    bands="2 below 6 mm, 3 below 8, 4A below 15, 4B from 15",
    population=_SCREENING,
)
SOLID_NEW = ScoreDefinition(
    "lungrads2022_solid_new",
    "Lung-RADS v2022, new solid nodule",
    (number("mean_diameter_mm", "mm", 0, 300, 3, 5, 7, 10),),
    Formula(_by_diameter((4, "2"), (6, "3"), (8, "4A"), otherwise="4B")),
    _LUNG_RADS,
    number=None,
    band="score",
    bands="2 below 4 mm, 3 below 6, 4A below 8, 4B from 8",
    population=_SCREENING,
)


def _part_solid(values: Values) -> Results:
    total, solid = values["total_diameter_mm"], values["solid_diameter_mm"]
    if total is not None and total < 6:
        return {"score": "2"}
    if total is None or solid is None:
        return {"score": None}
    return {"score": "3" if solid < 6 else "4A" if solid < 8 else "4B"}


PART_SOLID_BASELINE = ScoreDefinition(
    "lungrads2022_partsolid_baseline",
    "Lung-RADS v2022, part-solid nodule at baseline",
    (number("total_diameter_mm", "mm", 0, 300, 4, 10), number("solid_diameter_mm", "mm", 0, 300, 4, 7, 10)),
    Formula(_part_solid),
    _LUNG_RADS,
    number=None,
    band="score",
    bands="2 below 6 mm in total; else by the solid part: 3 below 6, 4A below 8, 4B from 8",
    population=_SCREENING,
)

SCORES = (PLCO, USPSTF, SOLID_BASELINE, SOLID_NEW, PART_SOLID_BASELINE)
