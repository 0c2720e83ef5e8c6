"""Kidney and contrast: CKD-EPI 2021, the gate before iodinated contrast, metformin with contrast."""

from __future__ import annotations

from fusion.scores.definition import Formula, Population, Results, ScoreDefinition, Values
from fusion.scores.inputs import Input, age, flag, laboratory, number, sex

_AKI = flag("acute_kidney_injury", "condition:acute_kidney_injury")


def _egfr_input(*tries: float) -> Input:
    return number("egfr", "mL/min/{1.73_m2}", 0, 300, *tries, loinc=("98979-8",), fact="egfr")


def _ckd_epi(values: Values) -> Results:
    creatinine, years, gender = values["creatinine_mg_dl"], values["age"], values["sex"]
    if creatinine is None or years is None or gender is None:
        return {"score": None}
    k, a, factor = (0.7, -0.241, 1.012) if gender == "female" else (0.9, -0.302, 1.0)
    ratio = creatinine / k
    return {"score": round(142 * min(ratio, 1) ** a * max(ratio, 1) ** -1.2 * 0.9938**years * factor, 1)}


CKD_EPI_2021 = ScoreDefinition(
    "ckd_epi_2021",
    "eGFR (CKD-EPI 2021)",
    (laboratory("creatinine_mg_dl", "mg/dL", 0.05, 50, loinc="2160-0", days=30), age(18, 130), sex()),
    Formula(_ckd_epi),
    "Inker LA, N Engl J Med 2021;385:1737",
    needs=frozenset({"creatinine_mg_dl", "age", "sex"}),
    band=None,
    bands="mL/min/1.73 m2; G1 from 90, G2 60-89, G3a 45-59, G3b 30-44, G4 15-29, G5 below 15",
    population=Population("adults in a steady state, not pregnant", pregnancy=False),
)


def _contrast(values: Values) -> Results:
    egfr = values["egfr"]
    flags = []
    if not values["anuric_on_dialysis"]:
        if values["acute_kidney_injury"] or (egfr is not None and egfr < 30):
            flags.append("renal_high_risk")
        elif egfr is not None and egfr < 45:
            flags.append("renal_discretionary")
    if values["prior_reaction"]:
        flags.append("prior_reaction")
    return {"score": flags}


CONTRAST_GATE = ScoreDefinition(
    "contrast_gate",
    "Iodinated contrast",
    (
        _egfr_input(20, 40, 60),
        _AKI,
        flag("anuric_on_dialysis", "condition:dialysis"),
        flag("prior_reaction", "contrast_reaction"),
    ),
    Formula(_contrast),
    "Davenport MS, Radiology 2020;294:660 (ACR and NKF consensus)",
    number=None,
    band=None,
    bands="renal_high_risk below 30 or acute kidney injury, renal_discretionary 30-44, prior_reaction",
    population=Population("adults"),
)


def _metformin(values: Values) -> Results:
    egfr = values["egfr"]
    hold = values["acute_kidney_injury"] or values["arterial_emboli_risk"] or (egfr is not None and egfr < 30)
    return {"score": "hold_48h" if hold else "continue"}


METFORMIN = ScoreDefinition(
    "metformin_iv_contrast",
    "Metformin with iodinated contrast",
    (_egfr_input(20, 60), _AKI, flag("arterial_emboli_risk")),
    Formula(_metformin),
    "ACR Manual on Contrast Media, metformin categories I and II",
    number=None,
    band="score",
    bands="hold_48h with acute kidney injury, eGFR below 30 or an arterial study with possible renal emboli",
    population=Population("adults on metformin"),
)

SCORES = (CKD_EPI_2021, CONTRAST_GATE, METFORMIN)
