"""Whether to image after trauma: Ottawa ankle, foot and knee, Canadian C-spine, NEXUS. True means: image."""

from __future__ import annotations

from fusion.scores.definition import Formula, Population, Results, ScoreDefinition, Values
from fusion.scores.inputs import age, flag


def _ankle(values: Values) -> Results:
    no_steps = bool(values["cannot_take_four_steps"])
    malleolus = values["lateral_malleolus_tenderness"] or values["medial_malleolus_tenderness"] or no_steps
    midfoot = values["fifth_metatarsal_tenderness"] or values["navicular_tenderness"] or no_steps
    return {
        "ankle": bool(values["malleolar_pain"] and malleolus),
        "foot": bool(values["midfoot_pain"] and midfoot),
    }


OTTAWA_ANKLE = ScoreDefinition(
    "ottawa_ankle",
    "Ottawa ankle and foot rules",
    tuple(
        flag(name)
        for name in (
            "malleolar_pain",
            "lateral_malleolus_tenderness",
            "medial_malleolus_tenderness",
            "midfoot_pain",
            "fifth_metatarsal_tenderness",
            "navicular_tenderness",
            "cannot_take_four_steps",
        )
    ),
    Formula(_ankle),
    "Stiell IG, Ann Emerg Med 1992;21:384; JAMA 1993;269:1127",
    number=None,
    band=None,
    bands="true: radiograph of that part",
    population=Population("adults, not intoxicated, no other distracting injury"),
)

_KNEE = ("isolated_patellar_tenderness", "fibular_head_tenderness", "cannot_flex_90", "cannot_take_four_steps")


def _knee(values: Values) -> Results:
    older = values["age"] is not None and values["age"] >= 55
    return {"score": older or any(values[name] for name in _KNEE)}


OTTAWA_KNEE = ScoreDefinition(
    "ottawa_knee",
    "Ottawa knee rule",
    (age(30, 60), *(flag(name) for name in _KNEE)),
    Formula(_knee),
    "Stiell IG, JAMA 1996;275:611",
    number=None,
    band="score",
    bands="true: radiograph",
)


def _c_spine(values: Values) -> Results:
    older = values["age"] is not None and values["age"] >= 65
    if older or values["dangerous_mechanism"] or values["extremity_paresthesias"]:
        return {"score": True}
    return {"score": not values["any_low_risk_factor"] or not values["rotates_neck_45_both_sides"]}


CANADIAN_C_SPINE = ScoreDefinition(
    "canadian_c_spine",
    "Canadian C-spine rule",
    (
        age(30, 70),
        flag("dangerous_mechanism"),
        flag("extremity_paresthesias"),
        flag("any_low_risk_factor"),
        flag("rotates_neck_45_both_sides"),
    ),
    Formula(_c_spine),
    "Stiell IG, JAMA 2001;286:1841",
    number=None,
    band="score",
    bands="true: image (CT in adults)",
    population=Population("from 16 years, GCS 15, stable", 16),
)

_NEXUS = ("midline_tenderness", "intoxication", "altered_alertness", "focal_deficit", "distracting_injury")

NEXUS = ScoreDefinition(
    "nexus",
    "NEXUS",
    tuple(flag(name) for name in _NEXUS),
    Formula(lambda values: {"score": any(values[name] for name in _NEXUS)}),
    "Hoffman JR, N Engl J Med 2000;343:94",
    number=None,
    band="score",
    bands="true: image (CT in adults)",
    population=Population("blunt trauma", None),
)

SCORES = (OTTAWA_ANKLE, OTTAWA_KNEE, CANADIAN_C_SPINE, NEXUS)
