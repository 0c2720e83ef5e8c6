"""Lung nodules: Fleischner 2017, Brock (full model with spiculation), Mayo."""

from __future__ import annotations

import math

from fusion.scores.definition import Formula, Population, Results, ScoreDefinition, Values
from fusion.scores.inputs import age, choice, flag, integer, number, sex

_UPPER_LOBE = flag("upper_lobe", "nodule:upper_lobe")
_SPICULATION = flag("spiculation", "nodule:spiculation")


def _logistic_percent(x: float, decimals: int) -> float:
    return round(100 / (1 + math.exp(-x)), decimals)


def _solid(size: float, multiple: bool, high_risk: bool) -> str:
    if size < 6:
        return "optional CT 12 mo" if high_risk else "none"
    if size > 8 and not multiple:
        return "consider CT 3 mo, PET/CT or tissue sampling"
    first = "CT 3-6 mo" if multiple else "CT 6-12 mo"
    return f"{first}, then CT 18-24 mo" if high_risk else f"{first}, then consider CT 18-24 mo"


def _subsolid(kind: str, size: float, multiple: bool) -> str:
    """Return the step of the subsolid table; one of unknown kind is followed like a part-solid one, the earlier CT."""
    if multiple:
        if size < 6:
            return "CT 3-6 mo; if stable consider CT 2 and 4 y"
        return "CT 3-6 mo; then by most suspicious nodule"
    if size < 6:
        return "none"
    if kind == "ggn":
        return "CT 6-12 mo to confirm, then every 2 y until 5 y"
    return "CT 3-6 mo; if stable and solid part <6 mm annual CT 5 y"


def _fleischner(values: Values) -> Results:
    kind, multiple, size, high_risk = (values[name] for name in ("nodule_type", "multiple", "size_mm", "high_risk"))
    if kind is None or size is None or multiple is None:
        return {"score": None}
    whole = math.floor(size + 0.5)
    if kind == "solid":
        return {"score": None if high_risk is None else _solid(whole, multiple, high_risk)}
    return {"score": _subsolid(kind, whole, multiple)}


FLEISCHNER = ScoreDefinition(
    "fleischner2017",
    "Fleischner 2017",
    (
        choice("nodule_type", ("solid", "ggn", "part_solid", "subsolid"), fact="nodule:type"),
        flag("multiple", "nodule:multiple"),
        number("size_mm", "mm", 0.5, 100, 4, 7, 10, fact="nodule:size"),
        flag("high_risk"),
    ),
    Formula(_fleischner),
    "MacMahon H, Radiology 2017;284:228 (mean of both axes, to the nearest mm)",
    number=None,
    band="score",
    bands="below 6 mm, 6-8 mm, above 8 mm",
    population=Population(
        "incidental nodule, age 35 and over, no cancer, not immunosuppressed",
        35,
        exclusions={"known_cancer": "not made for known cancer", "immunosuppressed": "not made for immunosuppression"},
    ),
)

_BROCK_TYPES = {"solid": 0.0, "nonsolid": -0.1276, "part_solid": 0.3770}


def _brock(values: Values) -> Results:
    years, diameter, count = values["age"], values["diameter_mm"], values["nodule_count"]
    if years is None or diameter is None or count is None:
        return {"score": None}
    x = (
        -6.7892
        + 0.0287 * (years - 62)
        + 0.6011 * (values["sex"] == "female")
        + 0.2961 * bool(values["family_history_lung_cancer"])
        + 0.2953 * bool(values["emphysema"])
        - 5.3854 * ((diameter / 10) ** -0.5 - 1.58113883)
        + _BROCK_TYPES.get(values["nodule_type"], 0.0)
        + 0.6581 * bool(values["upper_lobe"])
        - 0.0824 * (count - 4)
        + 0.7729 * bool(values["spiculation"])
    )
    return {"score": _logistic_percent(x, 6)}


BROCK = ScoreDefinition(
    "brock_full",
    "Brock (full, with spiculation)",
    (
        age(18, 130),
        flag("family_history_lung_cancer", "family_history_lung_cancer"),
        flag("emphysema", "nodule:emphysema"),
        number("diameter_mm", "mm", 0.5, 100, fact="nodule:size"),
        choice("nodule_type", tuple(_BROCK_TYPES), fact="nodule:type"),
        _UPPER_LOBE,
        integer("nodule_count", "{count}", 1, 100, fact="nodule:count"),
        _SPICULATION,
        sex(),
    ),
    Formula(_brock),
    "McWilliams A, N Engl J Med 2013;369:910 (model 2b; diameter in mm)",
    needs=frozenset({"age", "diameter_mm", "nodule_count"}),
    band=None,
    bands="percent; BTS 2015: nodule of 8 mm and over, below 10 % CT surveillance, from 10 % PET-CT",
    population=Population("nodules on a baseline screening CT, ever-smokers of 50 to 75 years, 3-30 mm"),
)


def _mayo(values: Values) -> Results:
    years, diameter = values["age"], values["diameter_mm"]
    if years is None or diameter is None:
        return {"score": None}
    x = (
        -6.8272
        + 0.0391 * years
        + 0.7917 * bool(values["ever_smoker"])
        + 1.3388 * bool(values["extrathoracic_cancer_over_5y_ago"])
        + 0.1274 * diameter
        + 1.0407 * bool(values["spiculation"])
        + 0.7838 * bool(values["upper_lobe"])
    )
    return {"score": _logistic_percent(x, 4)}


MAYO = ScoreDefinition(
    "mayo_spn",
    "Mayo (solitary pulmonary nodule)",
    (
        age(18, 130),
        flag("ever_smoker", "ever_smoker"),
        flag("extrathoracic_cancer_over_5y_ago"),
        number("diameter_mm", "mm", 0.5, 100, fact="nodule:size"),
        _SPICULATION,
        _UPPER_LOBE,
    ),
    Formula(_mayo),
    "Swensen SJ, Arch Intern Med 1997;157:849",
    needs=frozenset({"age", "diameter_mm"}),
    band=None,
    bands="percent; ACCP 2013: below 5 surveillance, 5-65 PET or biopsy, above 65 surgical diagnosis",
    population=Population("solitary nodule of 4-30 mm, no cancer within 5 years"),
)

SCORES = (FLEISCHNER, BROCK, MAYO)
