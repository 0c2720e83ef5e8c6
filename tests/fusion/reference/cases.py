"""Random inputs of every score, and for each input the values on both sides of its boundaries in the tables."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from tests.fusion.reference import clinical, decisions
from tests.fusion.reference.clinical import Given, Result

FLAG = (False, True)


@dataclass(frozen=True)
class Number:
    """A number from low to high with some decimals; `edges` are tried most, and with a step to either side."""

    low: float
    high: float
    edges: tuple[float, ...] = ()
    decimals: int = 0

    def tries(self) -> tuple[float, ...]:
        step = 10.0**-self.decimals
        around = {round(edge + side * step, 6) for edge in self.edges for side in (-1, 0, 1)}
        return tuple(sorted(v for v in {*around, self.low, self.high} if self.low <= v <= self.high))

    def drawn(self, source: random.Random) -> float:
        value = source.choice(self.tries()) if source.random() < 0.5 else source.uniform(self.low, self.high)
        return round(value, self.decimals) if self.decimals else int(value)


Choices = tuple[Any, ...]
Spec = Number | Choices

RR = Number(4, 60, (8, 9, 11, 12, 14, 15, 19, 20, 21, 22, 24, 25, 29, 30))
PRESSURE = Number(40, 260, (70, 71, 80, 81, 90, 100, 101, 110, 111, 199, 200, 219, 220))
PULSE = Number(20, 220, (40, 41, 50, 51, 74, 75, 90, 91, 94, 95, 100, 101, 110, 111, 125, 129, 130, 131))
WARMTH = Number(30, 43, (35.0, 36.0, 38.0, 38.5, 39.0, 40.0), 1)
AGE = Number(18, 100, (49, 50, 51, 55, 59, 60, 64, 65, 66, 69, 70, 74, 75, 76, 79, 80))
COMA = Number(3, 15, (14, 15))
WHITE = Number(0.5, 40, (4, 12), 1)
SIZE = Number(0.5, 60, (4, 5.5, 6, 8, 8.5, 15), 1)


def flags(*names: str) -> dict[str, Spec]:
    return dict.fromkeys(names, FLAG)


@dataclass(frozen=True)
class Reference:
    """How a score is checked.

    groups   inputs that stand for each other: with one of them known, the others are not missing
    observed results that follow what was observed, whatever is missing
    always   inputs that are never taken away: without them there is no value, or the tried ones are not the extremes
    """

    work: Callable[[Given], Result]
    inputs: dict[str, Spec]
    groups: tuple[frozenset[str], ...] = ()
    observed: frozenset[str] = frozenset({"score"})
    always: frozenset[str] = frozenset()

    def drawn(self, source: random.Random) -> dict[str, Any]:
        return {
            name: spec.drawn(source) if isinstance(spec, Number) else source.choice(spec)
            for name, spec in self.inputs.items()
        }

    def tries(self, name: str) -> Choices:
        spec = self.inputs[name]
        return spec.tries() if isinstance(spec, Number) else spec

    def completions(self, given: Given, missing: list[str]) -> Iterator[dict[str, Any]]:
        """Yield the inputs with the missing ones at every combination of tried values."""
        for values in product(*map(self.tries, missing)):
            yield {**given, **dict(zip(missing, values, strict=True))}


OXYGEN = frozenset({"pao2_mmhg", "spo2_percent"})
REFERENCES: dict[str, Reference] = {
    "curb65": Reference(
        clinical.curb65,
        {**flags("confusion"), "urea_mmol_l": Number(1, 40, (7,), 1), "respiratory_rate": RR, "systolic_bp": PRESSURE,
         "diastolic_bp": Number(20, 140, (60, 61)), "age": AGE},
    ),
    "crb65": Reference(
        clinical.crb65,
        {**flags("confusion"), "respiratory_rate": RR, "systolic_bp": PRESSURE,
         "diastolic_bp": Number(20, 140, (60, 61)), "age": AGE},
    ),
    "psi_port": Reference(
        clinical.psi_port,
        {**flags("nursing_home_resident", *clinical.PSI_ILLNESS, "altered_mental_status", "pleural_effusion"),
         "age": AGE, "sex": ("male", "female"), "respiratory_rate": RR, "systolic_bp": PRESSURE,
         "temperature_c": WARMTH, "heart_rate": PULSE, "arterial_ph": Number(6.9, 7.7, (7.35,), 2),
         "bun_mg_dl": Number(3, 120, (30,), 1),
         "sodium_mmol_l": Number(110, 170, (130,)), "glucose_mg_dl": Number(30, 700, (250,)),
         "hematocrit_percent": Number(12, 60, (30,), 1), "pao2_mmhg": Number(30, 200, (60,)),
         "spo2_percent": Number(60, 100, (90,))},
        groups=(OXYGEN,), always=frozenset({"age", "sex"}),
    ),
    "smart_cop": Reference(
        clinical.smart_cop,
        {**flags("multilobar_infiltrates", "confusion"), "age": AGE, "pao2_mmhg": Number(30, 200, (60, 70)),
         "spo2_percent": Number(60, 100, (90, 93)), "pao2_fio2_mmhg": Number(50, 500, (250, 333)),
         "systolic_bp": PRESSURE, "albumin_g_dl": Number(1, 6, (3.5,), 1), "respiratory_rate": RR, "heart_rate": PULSE,
         "arterial_ph": Number(6.9, 7.7, (7.35,), 2)},
        groups=(OXYGEN | {"pao2_fio2_mmhg"},), always=frozenset({"age"}),
    ),
    "severe_cap": Reference(
        clinical.severe_cap,
        {**flags("mechanical_ventilation", "vasopressors", "multilobar_infiltrates", "confusion", "aggressive_fluids"),
         "respiratory_rate": RR, "pao2_fio2_mmhg": Number(50, 500, (250,)), "bun_mg_dl": Number(3, 120, (20,), 1),
         "leukocytes_10e9_l": WHITE, "platelets_10e9_l": Number(5, 600, (100,)), "temperature_c": WARMTH},
        observed=frozenset({"major", "minor"}),
    ),
    "news2": Reference(
        clinical.news2,
        {**flags("supplemental_oxygen"), "spo2_scale": (1, 2), "consciousness_acvpu": ("A", "C", "V", "P", "U"),
         "respiratory_rate": RR, "spo2_percent": Number(70, 100, (83, 85, 87, 88, 91, 92, 93, 94, 95, 96, 97), 1),
         "systolic_bp": PRESSURE, "heart_rate": PULSE, "temperature_c": Number(30, 43, (35, 36, 38, 39), 2)},
        always=frozenset({"spo2_scale", "supplemental_oxygen"}),
    ),
    "qsofa": Reference(
        clinical.qsofa, {"respiratory_rate": RR, "systolic_bp": PRESSURE, "glasgow_coma_scale": COMA}
    ),
    "sirs": Reference(
        clinical.sirs,
        {"respiratory_rate": RR, "paco2_mmhg": Number(15, 90, (32,)), "leukocytes_10e9_l": WHITE,
         "band_forms_percent": Number(0, 60, (10,)), "temperature_c": WARMTH, "heart_rate": PULSE},
        groups=(frozenset({"respiratory_rate", "paco2_mmhg"}), frozenset({"leukocytes_10e9_l", "band_forms_percent"})),
    ),
    "mews": Reference(
        clinical.mews,
        {"systolic_bp": PRESSURE, "heart_rate": PULSE, "respiratory_rate": RR, "temperature_c": WARMTH,
         "consciousness_avpu": ("A", "C", "V", "P", "U")},
    ),
    "isaric_4c_mortality": Reference(
        clinical.isaric_4c_mortality,
        {"age": AGE, "sex": ("male", "female"), "comorbidity_count": Number(0, 8, (1, 2)), "respiratory_rate": RR,
         "spo2_percent": Number(60, 100, (92,)), "glasgow_coma_scale": COMA,
         "urea_mmol_l": Number(1, 40, (7, 14), 1), "crp_mg_l": Number(0, 400, (50, 100), 1)},
    ),
    "wells_pe": Reference(
        clinical.wells_pe,
        {**flags("signs_of_dvt", "pe_most_likely_diagnosis", "immobilisation_or_surgery", "previous_vte", "hemoptysis",
                 "active_cancer"), "heart_rate": PULSE},
    ),
    "perc": Reference(
        clinical.perc,
        {**flags("hemoptysis", "estrogen_use", "previous_vte", "unilateral_leg_swelling", "recent_surgery_or_trauma"),
         "age": AGE, "heart_rate": PULSE, "spo2_percent": Number(70, 100, (95,))},
        observed=frozenset({"count"}),
    ),
    "revised_geneva": Reference(
        clinical.revised_geneva,
        {**flags("previous_vte", "surgery_or_fracture_last_month", "active_cancer", "unilateral_limb_pain",
                 "hemoptysis", "pain_on_palpation_and_edema"), "age": AGE, "heart_rate": PULSE},
    ),
    "cha2ds2_vasc": Reference(
        clinical.cha2ds2_vasc,
        {**flags("congestive_heart_failure", "hypertension", "diabetes", "stroke_tia_thromboembolism",
                 "vascular_disease"), "age": AGE, "sex": ("male", "female")},
    ),
    "brock_full": Reference(
        clinical.brock_full,
        {**flags("family_history_lung_cancer", "emphysema", "upper_lobe", "spiculation"), "age": Number(50, 75),
         "diameter_mm": Number(3, 30, (), 1), "nodule_type": ("solid", "nonsolid", "part_solid"),
         "nodule_count": Number(1, 12), "sex": ("male", "female")},
        always=frozenset({"age", "diameter_mm", "nodule_count"}),
    ),
    "mayo_spn": Reference(
        clinical.mayo_spn,
        {**flags("ever_smoker", "extrathoracic_cancer_over_5y_ago", "spiculation", "upper_lobe"),
         "age": AGE, "diameter_mm": Number(4, 30, (), 1)},
        always=frozenset({"age", "diameter_mm"}),
    ),
    "plcom2012": Reference(
        clinical.plcom2012,
        {**flags("copd", "personal_history_cancer", "family_history_lung_cancer", "current_smoker"), "age": AGE,
         "race": tuple(clinical.RACE), "education_level": Number(1, 6), "bmi": Number(15, 50, (), 1),
         "cigarettes_per_day": Number(1, 80), "smoking_years": Number(1, 60), "years_since_quit": Number(0, 40)},
        always=frozenset({"age", "race", "bmi", "cigarettes_per_day", "smoking_years", "current_smoker",
                          "years_since_quit"}),
    ),
    "ckd_epi_2021": Reference(
        clinical.ckd_epi_2021,
        {"creatinine_mg_dl": Number(0.2, 12, (0.7, 0.9), 2), "age": AGE, "sex": ("male", "female")},
        always=frozenset({"creatinine_mg_dl", "age"}),
    ),
    "years": Reference(
        decisions.years,
        {**flags("signs_of_dvt", "hemoptysis", "pe_most_likely_diagnosis"),
         "d_dimer_ng_ml_feu": Number(50, 4000, (500, 1000))},
        observed=frozenset({"items"}),
    ),
    "age_adjusted_d_dimer": Reference(
        decisions.age_adjusted_d_dimer, {"age": AGE, "d_dimer_unit": ("FEU", "DDU")}, always=frozenset({"age"})
    ),
    "fleischner2017": Reference(
        decisions.fleischner2017,
        {**flags("multiple", "high_risk"), "nodule_type": ("solid", "ggn", "part_solid"), "size_mm": SIZE},
        observed=frozenset(),
    ),
    "uspstf2021_ldct": Reference(
        decisions.uspstf2021_ldct,
        {"age": AGE, "pack_years": Number(0, 90, (20,), 1), **flags("current_smoker"),
         "years_since_quit": Number(0, 40, (15, 16))},
        observed=frozenset(), always=frozenset({"current_smoker", "years_since_quit"}),
    ),
    "lungrads2022_solid_baseline": Reference(
        decisions.lungrads2022_solid_baseline, {"mean_diameter_mm": SIZE}, observed=frozenset()
    ),
    "lungrads2022_solid_new": Reference(
        decisions.lungrads2022_solid_new, {"mean_diameter_mm": SIZE}, observed=frozenset()
    ),
    "lungrads2022_partsolid_baseline": Reference(
        decisions.lungrads2022_partsolid_baseline,
        {"total_diameter_mm": Number(30.1, 60, (), 1), "solid_diameter_mm": Number(0.5, 30, (6, 8), 1)},
        observed=frozenset(), always=frozenset({"total_diameter_mm"}),
    ),
    "who_w4ss": Reference(
        decisions.who_w4ss, flags("cough", "fever", "night_sweats", "weight_loss"), observed=frozenset()
    ),
    "nt_probnp_acute": Reference(
        decisions.nt_probnp_acute,
        {"age": AGE, "nt_probnp_pg_ml": Number(10, 9000, (300, 450, 900, 1800))}, observed=frozenset(),
    ),
    "cardiothoracic_ratio": Reference(
        decisions.cardiothoracic_ratio,
        {"cardiac_width_mm": Number(80, 199, (150,)), "thoracic_width_mm": Number(200, 400, (300,)),
         "projection": ("PA", "AP", "portable", "supine", "lateral")},
        always=frozenset({"cardiac_width_mm", "thoracic_width_mm"}), observed=frozenset({"ctr"}),
    ),
    "ottawa_ankle": Reference(
        decisions.ottawa_ankle,
        flags("malleolar_pain", "lateral_malleolus_tenderness", "medial_malleolus_tenderness", "midfoot_pain",
              "fifth_metatarsal_tenderness", "navicular_tenderness", "cannot_take_four_steps"),
        observed=frozenset(),
    ),
    "ottawa_knee": Reference(
        decisions.ottawa_knee,
        {**flags("isolated_patellar_tenderness", "fibular_head_tenderness", "cannot_flex_90", "cannot_take_four_steps"),
         "age": AGE}, observed=frozenset(),
    ),
    "canadian_c_spine": Reference(
        decisions.canadian_c_spine,
        {**flags("dangerous_mechanism", "extremity_paresthesias", "any_low_risk_factor", "rotates_neck_45_both_sides"),
         "age": AGE}, observed=frozenset(),
    ),
    "nexus": Reference(
        decisions.nexus,
        flags("midline_tenderness", "intoxication", "altered_alertness", "focal_deficit", "distracting_injury"),
        observed=frozenset(),
    ),
    "birads_management": Reference(
        decisions.birads_management, {"category": ("0", "1", "2", "3", "4", "4A", "4B", "4C", "5", "6")},
        observed=frozenset(),
    ),
    "contrast_gate": Reference(
        decisions.contrast_gate,
        {"egfr": Number(5, 130, (30, 45), 1),
         **flags("acute_kidney_injury", "anuric_on_dialysis", "prior_reaction")}, observed=frozenset(),
    ),
    "metformin_iv_contrast": Reference(
        decisions.metformin_iv_contrast,
        {"egfr": Number(5, 130, (30,), 1), **flags("acute_kidney_injury", "arterial_emboli_risk")},
        observed=frozenset(),
    ),
    "light_criteria": Reference(
        decisions.light_criteria,
        {"pleural_protein_g_dl": Number(0.5, 7, (3.5,), 1), "serum_protein_g_dl": Number(4, 9, (7,), 1),
         "pleural_ldh_u_l": Number(10, 1500, (120, 148)), "serum_ldh_u_l": Number(60, 900, (200,)),
         "serum_ldh_upper_limit_u_l": Number(150, 300, (222,))},
        observed=frozenset({"criteria_met"}),
        always=frozenset({"pleural_protein_g_dl", "serum_protein_g_dl", "pleural_ldh_u_l", "serum_ldh_u_l",
                          "serum_ldh_upper_limit_u_l"}),
    ),
}  # fmt: skip
