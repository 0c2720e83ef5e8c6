"""Rules that decide: results by name from a mapping of inputs; None decides nothing."""

from __future__ import annotations

from tests.fusion.reference.clinical import Given, Result, count, meets, rounded


def years(x: Given) -> Result:
    items = count(x["signs_of_dvt"], x["hemoptysis"], x["pe_most_likely_diagnosis"])
    threshold = 1000 if items == 0 else 500
    dimer = x["d_dimer_ng_ml_feu"]
    return {"items": items, "threshold": threshold, "pe_excluded": None if dimer is None else dimer < threshold}


def age_adjusted_d_dimer(x: Given) -> Result:
    feu = x["d_dimer_unit"] == "FEU"
    return {"score": x["age"] * (10 if feu else 5) if x["age"] > 50 else 500 if feu else 250}


SUBSOLID_MANY = "CT 3-6 mo; if stable consider CT 2 and 4 y"


def fleischner2017(x: Given) -> Result:
    size = rounded(x["size_mm"], "1")
    small, large = size < 6, size > 8
    if x["nodule_type"] == "solid":
        return {"score": _fleischner_solid(x["multiple"], x["high_risk"], small=small, large=large)}
    if x["multiple"]:
        return {"score": SUBSOLID_MANY if small else "CT 3-6 mo; then by most suspicious nodule"}
    return {"score": "none" if small else {"ggn": "CT 6-12", "part_solid": "CT 3-6"}.get(x["nodule_type"], "")}


def _fleischner_solid(several: bool, high: bool, *, small: bool, large: bool) -> str:
    if small:
        return "optional CT 12 mo" if high else "none"
    if not several and large:
        return "consider CT 3 mo, PET/CT or tissue sampling"
    first = "CT 3-6 mo" if several else "CT 6-12 mo"
    return f"{first}, then CT 18-24 mo" if high else f"{first}, then consider CT 18-24 mo"


def uspstf2021_ldct(x: Given) -> Result:
    smokes_or_recent = x["current_smoker"] or x["years_since_quit"] <= 15
    return {"score": bool(50 <= x["age"] <= 80 and x["pack_years"] >= 20 and smokes_or_recent)}


def lungrads2022_solid_baseline(x: Given) -> Result:
    size = x["mean_diameter_mm"]
    return {"score": "2" if size < 6 else "3" if size < 8 else "4A" if size < 15 else "4B"}


def lungrads2022_solid_new(x: Given) -> Result:
    size = x["mean_diameter_mm"]
    return {"score": "2" if size < 4 else "3" if size < 6 else "4A" if size < 8 else "4B"}


def lungrads2022_partsolid_baseline(x: Given) -> Result:
    if x["total_diameter_mm"] < 6:
        return {"score": "2"}
    solid = x["solid_diameter_mm"]
    return {"score": "3" if solid < 6 else "4A" if solid < 8 else "4B"}


def who_w4ss(x: Given) -> Result:
    return {"score": bool(count(x["cough"], x["fever"], x["night_sweats"], x["weight_loss"]))}


def nt_probnp_acute(x: Given) -> Result:
    age, value = x["age"], x["nt_probnp_pg_ml"]
    rule_in = 450 if age < 50 else 900 if age <= 75 else 1800
    return {"score": "rule_out" if value < 300 else "rule_in" if value >= rule_in else "grey"}


def cardiothoracic_ratio(x: Given) -> Result:
    ratio = x["cardiac_width_mm"] / x["thoracic_width_mm"]
    return {"ctr": ratio, "enlarged": ratio > 0.5 if x["projection"] == "PA" else None}


def ottawa_ankle(x: Given) -> Result:
    cannot = x["cannot_take_four_steps"]
    tender = x["lateral_malleolus_tenderness"] or x["medial_malleolus_tenderness"]
    midfoot = x["fifth_metatarsal_tenderness"] or x["navicular_tenderness"]
    return {
        "ankle": bool(x["malleolar_pain"] and (tender or cannot)),
        "foot": bool(x["midfoot_pain"] and (midfoot or cannot)),
    }


def ottawa_knee(x: Given) -> Result:
    signs = ("isolated_patellar_tenderness", "fibular_head_tenderness", "cannot_flex_90", "cannot_take_four_steps")
    return {"score": bool(meets(x["age"], lambda v: v >= 55) or any(x[name] for name in signs))}


def canadian_c_spine(x: Given) -> Result:
    if x["age"] >= 65 or x["dangerous_mechanism"] or x["extremity_paresthesias"]:
        return {"score": True}
    return {"score": not x["any_low_risk_factor"] or not x["rotates_neck_45_both_sides"]}


def nexus(x: Given) -> Result:
    signs = ("midline_tenderness", "intoxication", "altered_alertness", "focal_deficit", "distracting_injury")
    return {"score": any(x[name] for name in signs)}


def birads_management(x: Given) -> Result:
    category = x["category"]
    if category == "0":
        return {"score": "additional imaging/prior comparison"}
    if category in ("1", "2"):
        return {"score": "routine screening"}
    if category == "3":
        return {"score": "short-interval"}
    return {"score": "treat" if category == "6" else "tissue diagnosis"}


def contrast_gate(x: Given) -> Result:
    flags = []
    if not x["anuric_on_dialysis"]:
        if x["acute_kidney_injury"] or x["egfr"] < 30:
            flags.append("renal_high_risk")
        elif x["egfr"] < 45:
            flags.append("renal_discretionary")
    return {"score": flags + (["prior_reaction"] if x["prior_reaction"] else [])}


def metformin_iv_contrast(x: Given) -> Result:
    hold = x["acute_kidney_injury"] or x["egfr"] < 30 or x["arterial_emboli_risk"]
    return {"score": "hold_48h" if hold else "continue"}


def light_criteria(x: Given) -> Result:
    met = count(
        x["pleural_protein_g_dl"] / x["serum_protein_g_dl"] > 0.5,
        x["pleural_ldh_u_l"] / x["serum_ldh_u_l"] > 0.6,
        x["pleural_ldh_u_l"] > x["serum_ldh_upper_limit_u_l"] * 2 / 3,
    )
    return {"criteria_met": met, "exudate": met >= 1}
