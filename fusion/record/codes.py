"""Codes as records carry them -> keys. LOINC and SNOMED CT by code, ICD-10-CM by prefix, medications also by name.

Reading in only: what leaves the system is coded by `cds` from the findings and orders tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ICD10 = ("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10")

OBSERVATION_KEYS: Mapping[str, str] = {
    "59408-5": "spo2_percent",
    "2708-6": "spo2_percent",
    "8867-4": "heart_rate",
    "9279-1": "respiratory_rate",
    "8480-6": "systolic_bp",
    "8462-4": "diastolic_bp",
    "8310-5": "temperature_c",
    "9269-2": "glasgow_coma_scale",
    "80288-4": "consciousness_acvpu",
    "3150-0": "fio2_percent",
    "3151-8": "oxygen_flow_l_min",
    "19994-3": "fio2_percent",
    "2703-7": "pao2_mmhg",
    "50984-4": "pao2_fio2_mmhg",
    "2744-1": "arterial_ph",
    "2019-8": "paco2_mmhg",
    "3094-0": "bun_mg_dl",
    "6299-2": "bun_mg_dl",
    "22664-7": "urea_mmol_l",
    "2160-0": "creatinine_mg_dl",
    "38483-4": "creatinine_mg_dl",
    "14682-9": "creatinine_mg_dl",
    "98979-8": "egfr",
    "2951-2": "sodium_mmol_l",
    "2823-3": "potassium_mmol_l",
    "2345-7": "glucose_mg_dl",
    "4544-3": "hematocrit_percent",
    "718-7": "hemoglobin_g_dl",
    "6690-2": "leukocytes_10e9_l",
    "751-8": "neutrophils_10e9_l",
    "731-0": "lymphocytes_10e9_l",
    "26508-2": "band_forms_percent",
    "777-3": "platelets_10e9_l",
    "1988-5": "crp_mg_l",
    "30522-7": "crp_mg_l",
    "33959-8": "procalcitonin_ng_ml",
    "75241-0": "procalcitonin_ng_ml",
    "32693-4": "lactate_mmol_l",
    "2518-9": "lactate_mmol_l",
    "2524-7": "lactate_mmol_l",
    "48065-7": "d_dimer_ng_ml_feu",
    "48066-5": "d_dimer_ng_ml_ddu",
    "10839-9": "troponin_i_ng_l",
    "89579-7": "troponin_i_ng_l",
    "6598-7": "troponin_t_ng_l",
    "67151-1": "troponin_t_ng_l",
    "30934-4": "bnp_pg_ml",
    "33762-6": "nt_probnp_pg_ml",
    "1751-7": "albumin_g_dl",
    "1975-2": "bilirubin_mg_dl",
    "2532-0": "serum_ldh_u_l",
    "2530-4": "pleural_ldh_u_l",
    "2885-2": "serum_protein_g_dl",
    "2881-1": "pleural_protein_g_dl",
    "2106-3": "pregnancy_test",
    "2118-8": "pregnancy_test",
    "82810-3": "pregnancy_status",
    "72166-2": "smoking_status",
    "39156-5": "bmi",
    "8302-2": "height_cm",
    "29463-7": "weight_kg",
    "4548-4": "hba1c_percent",
    "8664-5": "pack_years",
    "11545-1": "sputum_afb",
    "85362-2": "tb_naat",
    # LOINC's common codes for an HIV screen and what else an intensive care chart holds; not in the knowledge file
    "56888-1": "hiv_test",
    "1963-8": "bicarbonate_mmol_l",
    "1959-6": "bicarbonate_mmol_l",
    "2028-9": "bicarbonate_mmol_l",
    "19123-9": "magnesium_mg_dl",
    "2601-3": "magnesium_mg_dl",
    "8478-0": "mean_arterial_pressure",
    "9187-6": "urine_output_ml",
    "6768-6": "alkaline_phosphatase_u_l",
    "1742-6": "alt_u_l",
    "1920-8": "ast_u_l",
    "2093-3": "cholesterol_mg_dl",
    "20124-4": "mechanical_ventilation",
    "20077-4": "mechanical_ventilation",
    "20112-9": "mechanical_ventilation",
    "33438-3": "mechanical_ventilation",
}
"""LOINC code -> key. `mechanical_ventilation` is true whenever a setting of the ventilator was charted."""

RESULTED = frozenset({"sputum_afb", "tb_naat", "hiv_test"})
"""Tests of which it counts here that there is a result; what it says is read as positive, negative or other."""

_PRESENCE = {"10828004": "positive", "260373001": "positive", "260385009": "negative", "260415000": "negative"}
CODED_VALUES: Mapping[str, Mapping[str, str]] = {
    "pregnancy_status": {"77386006": "pregnant", "60001007": "not_pregnant", "146799005": "possible"},
    "pregnancy_test": {"10828004": "positive", "260385009": "negative"},
    **dict.fromkeys(RESULTED, _PRESENCE),
    "smoking_status": {
        "77176002": "current",
        "449868002": "current",
        "428041000124106": "current",
        "8517006": "former",
        "266919005": "never",
    },
}

_CONDITION_SNOMED: Mapping[str, str] = {
    "44054006": "diabetes",
    "46635009": "diabetes",
    "38341003": "hypertension",
    "59621000": "hypertension",
    "84114007": "heart_failure",
    "42343007": "heart_failure",
    "88805009": "heart_failure",
    "431857002": "chronic_kidney_disease",
    "433144002": "chronic_kidney_disease",
    "431856006": "chronic_kidney_disease",
    "709044004": "chronic_kidney_disease",
    "46177005": "end_stage_renal_disease",
    "265764009": "dialysis",
    "13645005": "copd",
    "185086009": "copd",
    "87433001": "copd",
    "195967001": "asthma",
    "128053003": "venous_thromboembolism",
    "59282003": "venous_thromboembolism",
    "66857006": "haemoptysis",
    "49727002": "cough",
    "386661006": "fever",
    "267036007": "dyspnoea",
    "45007003": "hypotension",
    "89362005": "weight_loss",
    "286933003": "confusion",
    "77386006": "pregnant",
    "72892002": "pregnant",
    "370388006": "immunocompromised",
    "161414005": "previous_tuberculosis",
    "154283005": "tuberculosis",
    "233604007": "pneumonia",
    "385093006": "pneumonia",
    "230690007": "stroke",
    "49436004": "atrial_fibrillation",
    "14669001": "acute_kidney_injury",
    "292095005": "contrast_reaction",
    "293637006": "contrast_reaction",
    "254637007": "cancer",
    "363406005": "cancer",
    "254837009": "cancer",
    "73211009": "diabetes",
    "53741008": "vascular_disease",
    "22298006": "vascular_disease",
    "19829001": "lung_disease",
}
_CONDITION_ICD10: tuple[tuple[str, str], ...] = (
    ("E10", "diabetes"), ("E11", "diabetes"), ("E13", "diabetes"), ("I10", "hypertension"), ("I50", "heart_failure"),
    ("N18.6", "end_stage_renal_disease"), ("N18", "chronic_kidney_disease"), ("Z99.2", "dialysis"), ("J44", "copd"),
    ("J43", "copd"), ("J45", "asthma"), ("I26", "venous_thromboembolism"), ("I82", "venous_thromboembolism"),
    ("R04.2", "haemoptysis"), ("R05", "cough"), ("R50", "fever"), ("R06.0", "dyspnoea"), ("R63.4", "weight_loss"),
    ("R41.0", "confusion"), ("Z33", "pregnant"), ("O", "pregnant"), ("D84", "immunocompromised"),
    ("B20", "hiv"), ("Z21", "hiv"), ("A15", "tuberculosis"), ("J12", "pneumonia"), ("J13", "pneumonia"),
    ("J14", "pneumonia"), ("J15", "pneumonia"), ("J18", "pneumonia"), ("I63", "stroke"), ("I61", "stroke"),
    ("I48", "atrial_fibrillation"), ("N17", "acute_kidney_injury"), ("Z91.041", "contrast_reaction"),
    ("C", "cancer"), ("K74", "liver_disease"), ("K70.3", "liver_disease"), ("I21", "vascular_disease"),
    ("I70", "vascular_disease"), ("M54.5", "low_back_pain"), ("R51", "headache"), ("R07", "chest_pain"),
    ("M80", "osteoporosis"), ("M81", "osteoporosis"),
)  # fmt: skip

CONDITION_KEYS = frozenset(_CONDITION_SNOMED.values()) | {key for _, key in _CONDITION_ICD10}
"""Every condition key."""

_MEDICATION_NAMES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"\b{name}", re.IGNORECASE), key)
    for name, key in (
        ("metformin", "metformin"),
        ("estradiol|ethinyl|oestr|conjugated estrogens", "oestrogen"),
        ("apixaban|rivaroxaban|warfarin|dabigatran|edoxaban|enoxaparin|heparin", "anticoagulant"),
        ("prednis|dexamethasone|hydrocortisone|methylprednisolone", "corticosteroid"),
        ("ibuprofen|naproxen|diclofenac|ketorolac", "nsaid"),
    )
)
_ALLERGY_SNOMED: Mapping[str, str] = {
    "293637006": "iodinated_contrast",
    "292095005": "iodinated_contrast",
    "44588005": "iodine",
    "227037002": "fish",
    "44027008": "shellfish",
}
_ALLERGY_NAMES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"iodinated|contrast (media|agent)|radiocontrast|iohexol|iopamidol|iodixanol|iopromide", re.I),
        "iodinated_contrast",
    ),
    (re.compile(r"gadolin|gadobut|gadoter", re.I), "gadolinium"),
    (re.compile(r"shellfish", re.I), "shellfish"),
)  # fmt: skip


MEDICATION_KEYS = frozenset(key for _, key in _MEDICATION_NAMES)
ALLERGY_KEYS = frozenset(_ALLERGY_SNOMED.values()) | {key for _, key in _ALLERGY_NAMES}


def codings_of(concept: Any) -> Iterator[tuple[str, str]]:
    """Yield (system, code) of a CodeableConcept, whatever shape it has."""
    codings = concept.get("coding") if isinstance(concept, dict) else None
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, dict) and isinstance(coding.get("code"), str):
            yield str(coding.get("system") or ""), coding["code"]


def texts_of(concept: Any) -> Iterator[str]:
    """Yield text and displays of a CodeableConcept."""
    if not isinstance(concept, dict):
        return
    if isinstance(concept.get("text"), str):
        yield concept["text"]
    codings = concept.get("coding")
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, dict) and isinstance(coding.get("display"), str):
            yield coding["display"]


def observation_key(concept: Any) -> str | None:
    """Return the key of an observation by its LOINC code."""
    for system, code in codings_of(concept):
        if system == LOINC and code in OBSERVATION_KEYS:
            return OBSERVATION_KEYS[code]
    return None


def condition_keys(concept: Any) -> frozenset[str]:
    """Return the condition keys that a concept's SNOMED CT and ICD-10 codes stand for."""
    keys: set[str] = set()
    for system, code in codings_of(concept):
        keys |= keys_of_code(system, code)
    return frozenset(keys)


def keys_of_code(system: str, code: str) -> frozenset[str]:
    """Return the condition keys that one SNOMED CT or ICD-10 code stands for."""
    if system == SNOMED and code in _CONDITION_SNOMED:
        return frozenset({_CONDITION_SNOMED[code]})
    if system in ICD10:
        found = next((key for prefix, key in _CONDITION_ICD10 if code.upper().startswith(prefix)), None)
        return frozenset() if found is None else frozenset({found})
    return frozenset()


def medication_keys(concept: Any) -> frozenset[str]:
    """Return the medication keys of a concept, by the names it carries."""
    names = " ".join(texts_of(concept))
    return frozenset(key for pattern, key in _MEDICATION_NAMES if pattern.search(names))


def allergy_keys(concept: Any) -> frozenset[str]:
    """Return the allergy keys of a concept, by SNOMED CT code or by the names it carries."""
    coded = {_ALLERGY_SNOMED[c] for s, c in codings_of(concept) if s == SNOMED and c in _ALLERGY_SNOMED}
    names = " ".join(texts_of(concept))
    return frozenset(coded | {key for pattern, key in _ALLERGY_NAMES if pattern.search(names)})
