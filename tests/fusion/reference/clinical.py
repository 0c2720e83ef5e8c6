"""Points and formulas once more, plainly, from the tables of the knowledge base: what `fusion` is held to.

Written without the code under test and importing none of it. Results by name from a mapping of inputs; a missing input
(None) gives no points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Given = Mapping[str, Any]
Result = dict[str, Any]


def rounded(value: float, step: str) -> float:
    return float(Decimal(str(value)).quantize(Decimal(step), ROUND_HALF_UP))


def meets(value: float | None, test: Callable[[float], bool]) -> bool:
    return value is not None and test(value)


def count(*items: Any) -> int:
    return sum(bool(item) for item in items)


def curb65(x: Given) -> Result:
    score = count(
        x["confusion"],
        meets(x["urea_mmol_l"], lambda v: v > 7),
        meets(x["respiratory_rate"], lambda v: v >= 30),
        meets(x["systolic_bp"], lambda v: v < 90) or meets(x["diastolic_bp"], lambda v: v <= 60),
        meets(x["age"], lambda v: v >= 65),
    )
    return {"score": score, "band": "low" if score <= 1 else "intermediate" if score == 2 else "high"}


def crb65(x: Given) -> Result:
    score = count(
        x["confusion"],
        meets(x["respiratory_rate"], lambda v: v >= 30),
        meets(x["systolic_bp"], lambda v: v < 90) or meets(x["diastolic_bp"], lambda v: v <= 60),
        meets(x["age"], lambda v: v >= 65),
    )
    return {"score": score, "band": "low" if score == 0 else "intermediate" if score <= 2 else "high"}


PSI_ILLNESS = {
    "neoplastic_disease": 30, "liver_disease": 20, "congestive_heart_failure": 10, "cerebrovascular_disease": 10,
    "renal_disease": 10,
}  # fmt: skip


def psi_port(x: Given) -> Result:
    signs = {
        "mind": (20, bool(x["altered_mental_status"])),
        "breathing": (20, meets(x["respiratory_rate"], lambda v: v >= 30)),
        "pressure": (20, meets(x["systolic_bp"], lambda v: v < 90)),
        "temperature": (15, meets(x["temperature_c"], lambda v: v < 35 or v >= 40)),
        "pulse": (10, meets(x["heart_rate"], lambda v: v >= 125)),
    }
    if x["age"] <= 50 and not any(x[name] for name in PSI_ILLNESS) and not any(there for _, there in signs.values()):
        return {"score": None, "risk_class": "I"}
    score = x["age"] - (10 if x["sex"] == "female" else 0)
    score += sum(points for points, there in signs.values() if there)
    score += sum(points for name, points in PSI_ILLNESS.items() if x[name])
    score += 10 if x["nursing_home_resident"] else 0
    score += 10 if x["pleural_effusion"] else 0
    score += 30 if meets(x["arterial_ph"], lambda v: v < 7.35) else 0
    score += 20 if meets(x["bun_mg_dl"], lambda v: v >= 30) else 0
    score += 20 if meets(x["sodium_mmol_l"], lambda v: v < 130) else 0
    score += 10 if meets(x["glucose_mg_dl"], lambda v: v >= 250) else 0
    score += 10 if meets(x["hematocrit_percent"], lambda v: v < 30) else 0
    score += 10 if meets(x["pao2_mmhg"], lambda v: v < 60) or meets(x["spo2_percent"], lambda v: v < 90) else 0
    return {
        "score": score,
        "risk_class": "II" if score <= 70 else "III" if score <= 90 else "IV" if score <= 130 else "V",
    }


def smart_cop(x: Given) -> Result:
    young = x["age"] <= 50
    short_of_oxygen = (
        meets(x["pao2_mmhg"], lambda v: v < (70 if young else 60))
        or meets(x["spo2_percent"], lambda v: v <= (93 if young else 90))
        or meets(x["pao2_fio2_mmhg"], lambda v: v < (333 if young else 250))
    )
    score = 2 * count(
        meets(x["systolic_bp"], lambda v: v < 90), short_of_oxygen, meets(x["arterial_ph"], lambda v: v < 7.35)
    ) + count(
        x["multilobar_infiltrates"],
        meets(x["albumin_g_dl"], lambda v: v < 3.5),
        meets(x["respiratory_rate"], lambda v: v >= (25 if young else 30)),
        meets(x["heart_rate"], lambda v: v >= 125),
        x["confusion"],
    )
    band = "low" if score <= 2 else "moderate" if score <= 4 else "high" if score <= 6 else "very_high"
    return {"score": score, "band": band}


def severe_cap(x: Given) -> Result:
    major = count(x["mechanical_ventilation"], x["vasopressors"])
    minor = count(
        meets(x["respiratory_rate"], lambda v: v >= 30),
        meets(x["pao2_fio2_mmhg"], lambda v: v <= 250),
        x["multilobar_infiltrates"],
        x["confusion"],
        meets(x["bun_mg_dl"], lambda v: v >= 20),
        meets(x["leukocytes_10e9_l"], lambda v: v < 4),
        meets(x["platelets_10e9_l"], lambda v: v < 100),
        meets(x["temperature_c"], lambda v: v < 36),
        x["aggressive_fluids"],
    )
    return {"major": major, "minor": minor, "severe": major >= 1 or minor >= 3}


def _row(value: float | None, table: list[tuple[float, int]], above: int) -> int:
    """Return the points of the first upper limit (inclusive) that is not below the value."""
    if value is None:
        return 0
    return next((points for limit, points in table if value <= limit), above)


def _news2_oxygen(x: Given) -> int:
    if x["spo2_percent"] is None:
        return 0
    saturation = rounded(x["spo2_percent"], "1")
    if x.get("spo2_scale") != 2:
        return _row(saturation, [(91, 3), (93, 2), (95, 1)], 0)
    if saturation <= 92 or not x["supplemental_oxygen"]:
        return _row(saturation, [(83, 3), (85, 2), (87, 1)], 0)
    return _row(saturation, [(94, 1), (96, 2)], 3)


def news2(x: Given) -> Result:
    whole = {
        name: None if x[name] is None else rounded(x[name], "1")
        for name in ("respiratory_rate", "systolic_bp", "heart_rate")
    }
    warmth = None if x["temperature_c"] is None else rounded(x["temperature_c"], "0.1")
    points = [
        _row(whole["respiratory_rate"], [(8, 3), (11, 1), (20, 0), (24, 2)], 3),
        _news2_oxygen(x),
        2 if x["supplemental_oxygen"] else 0,
        _row(whole["systolic_bp"], [(90, 3), (100, 2), (110, 1), (219, 0)], 3),
        _row(whole["heart_rate"], [(40, 3), (50, 1), (90, 0), (110, 1), (130, 2)], 3),
        3 if x["consciousness_acvpu"] in ("C", "V", "P", "U") else 0,
        _row(warmth, [(35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1)], 2),
    ]
    score, red = sum(points), 3 in points
    band = "high" if score >= 7 else "medium" if score >= 5 else "low-medium" if red else "low"
    return {"score": score, "red": red, "band": band}


def qsofa(x: Given) -> Result:
    score = count(
        meets(x["respiratory_rate"], lambda v: v >= 22),
        meets(x["systolic_bp"], lambda v: v <= 100),
        meets(x["glasgow_coma_scale"], lambda v: v < 15),
    )
    return {"score": score, "positive": score >= 2}


def sirs(x: Given) -> Result:
    score = count(
        meets(x["temperature_c"], lambda v: v > 38 or v < 36),
        meets(x["heart_rate"], lambda v: v > 90),
        meets(x["respiratory_rate"], lambda v: v > 20) or meets(x["paco2_mmhg"], lambda v: v < 32),
        meets(x["leukocytes_10e9_l"], lambda v: v > 12 or v < 4) or meets(x["band_forms_percent"], lambda v: v > 10),
    )
    return {"score": score, "positive": score >= 2}


def mews(x: Given) -> Result:
    score = _row(x["systolic_bp"], [(70, 3), (80, 2), (100, 1), (199, 0)], 2)
    score += _row(x["heart_rate"], [(40, 2), (50, 1), (100, 0), (110, 1), (129, 2)], 3)
    score += _row(x["respiratory_rate"], [(8, 2), (14, 0), (20, 1), (29, 2)], 3)
    score += 2 if meets(x["temperature_c"], lambda v: v < 35 or v >= 38.5) else 0
    score += {None: 0, "A": 0, "V": 1, "C": 1, "P": 2, "U": 3}[x["consciousness_avpu"]]
    return {"score": score}


def isaric_4c_mortality(x: Given) -> Result:
    score = _row(x["age"], [(49.999, 0), (59.999, 2), (69.999, 4), (79.999, 6)], 7)
    score += 1 if x["sex"] == "male" else 0
    score += _row(x["comorbidity_count"], [(0, 0), (1, 1)], 2)
    score += _row(x["respiratory_rate"], [(19, 0), (29, 1)], 2)
    score += 2 if meets(x["spo2_percent"], lambda v: v < 92) else 0
    score += 2 if meets(x["glasgow_coma_scale"], lambda v: v < 15) else 0
    urea, crp = x["urea_mmol_l"], x["crp_mg_l"]
    score += 0 if urea is None or urea < 7 else 1 if urea <= 14 else 3
    score += 0 if crp is None or crp < 50 else 1 if crp < 100 else 2
    band = "low" if score <= 3 else "intermediate" if score <= 8 else "high" if score <= 14 else "very_high"
    return {"score": score, "band": band}


def wells_pe(x: Given) -> Result:
    score = 3 * count(x["signs_of_dvt"], x["pe_most_likely_diagnosis"])
    score += 1.5 * count(meets(x["heart_rate"], lambda v: v > 100), x["immobilisation_or_surgery"], x["previous_vte"])
    score += count(x["hemoptysis"], x["active_cancer"])
    three = "low" if score < 2 else "moderate" if score <= 6 else "high"
    return {"score": score, "two_tier": "unlikely" if score <= 4 else "likely", "three_tier": three}


def perc(x: Given) -> Result:
    positive = count(
        meets(x["age"], lambda v: v >= 50),
        meets(x["heart_rate"], lambda v: v >= 100),
        meets(x["spo2_percent"], lambda v: v < 95),
        x["hemoptysis"], x["estrogen_use"], x["previous_vte"], x["unilateral_leg_swelling"],
        x["recent_surgery_or_trauma"],
    )  # fmt: skip
    return {"count": positive, "perc_negative": positive == 0}


def revised_geneva(x: Given) -> Result:
    score = 1 if meets(x["age"], lambda v: v > 65) else 0
    score += 3 * count(x["previous_vte"], x["unilateral_limb_pain"])
    score += 2 * count(x["surgery_or_fracture_last_month"], x["active_cancer"], x["hemoptysis"])
    score += 4 * count(x["pain_on_palpation_and_edema"])
    score += _row(x["heart_rate"], [(74, 0), (94, 3)], 5)
    return {"score": score, "band": "low" if score <= 3 else "intermediate" if score <= 10 else "high"}


def cha2ds2_vasc(x: Given) -> Result:
    score = count(x["congestive_heart_failure"], x["hypertension"], x["diabetes"], x["vascular_disease"])
    score += 2 * count(x["stroke_tia_thromboembolism"]) + count(x["sex"] == "female")
    age = x["age"]
    return {"score": score + (0 if age is None or age < 65 else 1 if age < 75 else 2)}


def _percent(x: float) -> float:
    return 100 / (1 + math.exp(-x))


def brock_full(x: Given) -> Result:
    z = -6.7892 + 0.0287 * (x["age"] - 62) + 0.6011 * (x["sex"] == "female")
    z += 0.2961 * x["family_history_lung_cancer"] + 0.2953 * x["emphysema"]
    z -= 5.3854 * ((x["diameter_mm"] / 10) ** -0.5 - 1.58113883)
    z += {"solid": 0.0, "nonsolid": -0.1276, "part_solid": 0.3770}[x["nodule_type"]]
    z += 0.6581 * x["upper_lobe"] - 0.0824 * (x["nodule_count"] - 4) + 0.7729 * x["spiculation"]
    return {"score": _percent(z)}


def mayo_spn(x: Given) -> Result:
    z = -6.8272 + 0.0391 * x["age"] + 0.7917 * x["ever_smoker"] + 1.3388 * x["extrathoracic_cancer_over_5y_ago"]
    z += 0.1274 * x["diameter_mm"] + 1.0407 * x["spiculation"] + 0.7838 * x["upper_lobe"]
    return {"score": _percent(z)}


RACE = {
    "white": 0.0, "american_indian_alaska_native": 0.0, "black": 0.3944778, "hispanic": -0.7434744,
    "asian": -0.466585, "native_hawaiian_pacific_islander": 1.027152, None: 0.0,
}  # fmt: skip


def plcom2012(x: Given) -> Result:
    quit_years = 0 if x["current_smoker"] else x["years_since_quit"]
    z = 0.0778868 * (x["age"] - 62) - 0.0812744 * (x["education_level"] - 4) - 0.0274194 * (x["bmi"] - 27)
    z += 0.3553063 * x["copd"] + 0.4589971 * x["personal_history_cancer"]
    z += 0.5871850 * x["family_history_lung_cancer"] + 0.2597431 * x["current_smoker"]
    z -= 1.822606 * ((x["cigarettes_per_day"] / 10) ** -1 - 0.4021541613)
    z += 0.0317321 * (x["smoking_years"] - 27) - 0.0308572 * (quit_years - 10) - 4.532506 + RACE[x["race"]]
    return {"score": _percent(z)}


def ckd_epi_2021(x: Given) -> Result:
    k, a, factor = (0.7, -0.241, 1.012) if x["sex"] == "female" else (0.9, -0.302, 1.0)
    ratio = x["creatinine_mg_dl"] / k
    return {"score": 142 * min(ratio, 1) ** a * max(ratio, 1) ** -1.2 * 0.9938 ** x["age"] * factor}
