"""Units: UCUM codes, and what records write instead, converted once to the canonical unit of a key.

A unit that is not in the table is refused; nothing is guessed. Factors: docs of the knowledge base section 13
(BUN x 0.357 = urea; creatinine / 88.4; glucose x 18.016; kPa x 7.5006).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BUN_TO_UREA = 0.357


@dataclass(frozen=True)
class Quantity:
    """How values of a key are read.

    unit       canonical unit
    factors    UCUM code -> factor to the canonical unit
    low, high  what is plausible in a living patient or a working analyser, canonical unit, inclusive
    """

    unit: str
    factors: Mapping[str, float]
    low: float
    high: float


_COUNT = {"10*3/uL": 1.0, "10*9/L": 1.0, "10^9/L": 1.0, "K/uL": 1.0, "10*3/mm3": 1.0, "/mm3": 1e-3, "/uL": 1e-3}
_PRESSURE = {"mm[Hg]": 1.0, "mmHg": 1.0, "kPa": 7.5006}
_MASS = {"g/dL": 1.0, "g/L": 0.1, "gm/dL": 1.0}
_RATE = {"/min": 1.0, "{beats}/min": 1.0, "{breaths}/min": 1.0, "beats/minute": 1.0, "breaths/minute": 1.0, "bpm": 1.0}
_PERCENT = {"%": 1.0}
_NANOGRAM = {
    "ng/mL": 1.0,
    "ug/L": 1.0,
    "ug/mL": 1e3,
    "mg/L": 1e3,
    "ng/mL{FEU}": 1.0,
    "ug/mL{FEU}": 1e3,
    "mg/L{FEU}": 1e3,
}
_TROPONIN = {"ng/L": 1.0, "pg/mL": 1.0, "ng/mL": 1e3, "ug/L": 1e3}
_ENZYME = {"U/L": 1.0, "[IU]/L": 1.0, "IU/L": 1.0}
_SALT = {"mmol/L": 1.0, "meq/L": 1.0, "mEq/L": 1.0}

QUANTITIES: Mapping[str, Quantity] = {
    "respiratory_rate": Quantity("/min", _RATE, 0, 120),
    "heart_rate": Quantity("/min", _RATE, 0, 350),
    "systolic_bp": Quantity("mmHg", _PRESSURE, 20, 350),
    "diastolic_bp": Quantity("mmHg", _PRESSURE, 5, 250),
    "spo2_percent": Quantity("%", {"%": 1.0, "1": 100.0}, 20, 100),
    "oxygen_flow_l_min": Quantity("L/min", {"L/min": 1.0, "l/min": 1.0}, 0, 80),
    "fio2_percent": Quantity("%", {"%": 1.0, "1": 100.0}, 15, 100),
    "glasgow_coma_scale": Quantity("{score}", {"{score}": 1.0, "1": 1.0}, 3, 15),
    "pao2_mmhg": Quantity("mmHg", _PRESSURE, 10, 760),
    "paco2_mmhg": Quantity("mmHg", _PRESSURE, 5, 250),
    "pao2_fio2_mmhg": Quantity("mmHg", {**_PRESSURE, "1": 1.0}, 10, 900),
    "arterial_ph": Quantity("pH", {"[pH]": 1.0, "pH": 1.0, "1": 1.0}, 6.3, 8.0),
    "urea_mmol_l": Quantity("mmol/L", {"mmol/L": 1.0}, 0.1, 120),
    "bun_mg_dl": Quantity("mg/dL", {"mg/dL": 1.0, "mmol/L": 1 / BUN_TO_UREA}, 0.3, 330),
    "creatinine_mg_dl": Quantity("mg/dL", {"mg/dL": 1.0, "umol/L": 1 / 88.4, "mmol/L": 1e3 / 88.4}, 0.05, 50),
    "egfr": Quantity("mL/min/1.73m2", {"mL/min/{1.73_m2}": 1.0, "mL/min/1.73m2": 1.0, "mL/min": 1.0}, 0, 250),
    "sodium_mmol_l": Quantity("mmol/L", _SALT, 90, 210),
    "potassium_mmol_l": Quantity("mmol/L", _SALT, 1, 12),
    "glucose_mg_dl": Quantity("mg/dL", {"mg/dL": 1.0, "mmol/L": 18.016}, 5, 2500),
    "hematocrit_percent": Quantity("%", {"%": 1.0, "L/L": 100.0}, 5, 80),
    "hemoglobin_g_dl": Quantity("g/dL", _MASS, 1, 28),
    "leukocytes_10e9_l": Quantity("10*9/L", _COUNT, 0, 900),
    "neutrophils_10e9_l": Quantity("10*9/L", _COUNT, 0, 500),
    "lymphocytes_10e9_l": Quantity("10*9/L", _COUNT, 0, 800),
    "band_forms_percent": Quantity("%", _PERCENT, 0, 100),
    "platelets_10e9_l": Quantity("10*9/L", _COUNT, 0, 4000),
    "crp_mg_l": Quantity("mg/L", {"mg/L": 1.0, "mg/dL": 10.0}, 0, 1000),
    "procalcitonin_ng_ml": Quantity("ng/mL", {"ng/mL": 1.0, "ug/L": 1.0}, 0, 1000),
    "lactate_mmol_l": Quantity("mmol/L", {"mmol/L": 1.0, "mg/dL": 1 / 9.008}, 0, 40),
    "d_dimer_ng_ml_feu": Quantity("ng/mL FEU", _NANOGRAM, 0, 200000),
    "d_dimer_ng_ml_ddu": Quantity("ng/mL DDU", {k: v for k, v in _NANOGRAM.items() if "FEU" not in k}, 0, 100000),
    "troponin_i_ng_l": Quantity("ng/L", _TROPONIN, 0, 1e6),
    "troponin_t_ng_l": Quantity("ng/L", _TROPONIN, 0, 1e6),
    "bnp_pg_ml": Quantity("pg/mL", {"pg/mL": 1.0, "ng/L": 1.0}, 0, 100000),
    "nt_probnp_pg_ml": Quantity("pg/mL", {"pg/mL": 1.0, "ng/L": 1.0}, 0, 300000),
    "albumin_g_dl": Quantity("g/dL", _MASS, 0.5, 8),
    "bilirubin_mg_dl": Quantity("mg/dL", {"mg/dL": 1.0, "umol/L": 1 / 17.1}, 0, 80),
    "serum_ldh_u_l": Quantity("U/L", _ENZYME, 10, 50000),
    "pleural_ldh_u_l": Quantity("U/L", _ENZYME, 1, 100000),
    "serum_protein_g_dl": Quantity("g/dL", _MASS, 1, 15),
    "pleural_protein_g_dl": Quantity("g/dL", _MASS, 0, 15),
    "temperature_c": Quantity("Cel", {"Cel": 1.0, "C": 1.0, "[degF]": 1.0, "degF": 1.0, "F": 1.0}, 20, 46),
    "bmi": Quantity("kg/m2", {"kg/m2": 1.0, "kg/m^2": 1.0}, 5, 130),
    "height_cm": Quantity("cm", {"cm": 1.0, "m": 100.0, "[in_i]": 2.54}, 20, 260),
    "weight_kg": Quantity("kg", {"kg": 1.0, "g": 1e-3, "[lb_av]": 0.45359237}, 0.2, 500),
    "bicarbonate_mmol_l": Quantity("mmol/L", _SALT, 1, 80),
    "magnesium_mg_dl": Quantity("mg/dL", {"mg/dL": 1.0, "mmol/L": 2.4305}, 0.1, 25),
    "mean_arterial_pressure": Quantity("mmHg", _PRESSURE, 10, 300),
    "urine_output_ml": Quantity("mL", {"mL": 1.0, "ml": 1.0, "L": 1e3}, 0, 10000),
    "alkaline_phosphatase_u_l": Quantity("U/L", _ENZYME, 1, 10000),
    "alt_u_l": Quantity("U/L", _ENZYME, 0, 50000),
    "ast_u_l": Quantity("U/L", _ENZYME, 0, 80000),
    "cholesterol_mg_dl": Quantity("mg/dL", {"mg/dL": 1.0, "mmol/L": 38.67}, 5, 2000),
    "hba1c_percent": Quantity("%", _PERCENT, 2, 25),
    "pack_years": Quantity("{pack-years}", {"{pack-years}": 1.0, "{PackYears}": 1.0, "a": 1.0, "1": 1.0}, 0, 300),
}
_FAHRENHEIT = {"[degF]", "degF", "F"}


class UnitError(ValueError):
    """A value whose unit is unknown, or which is not plausible; the message holds no value."""


def converted(key: str, value: float, unit: str | None) -> float:
    """Return `value` in the canonical unit of `key`.

    Raises UnitError when the unit is missing or not in the table, or the result is not plausible.
    """
    quantity = QUANTITIES[key]
    if not unit:
        raise UnitError(f"no unit; expected one of {', '.join(quantity.factors)}")
    factor = quantity.factors.get(unit)
    if factor is None:
        raise UnitError(f"unknown unit {unit[:20]!r}; expected one of {', '.join(quantity.factors)}")
    result = (value - 32) / 1.8 if unit in _FAHRENHEIT and key == "temperature_c" else value * factor
    if not quantity.low <= result <= quantity.high:
        raise UnitError(f"not plausible: outside {quantity.low:g} to {quantity.high:g} {quantity.unit}")
    return round(result, 6)
