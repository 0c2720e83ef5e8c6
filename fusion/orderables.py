"""What can be ordered, by key: what a rule suggests and a drafted order is mapped to.

The table itself is a hospital's own; `cds` reads it and passes it in. Knows no file and no FHIR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_IONISING = frozenset({"XR", "CT", "MG", "DXA", "PET", "NM", "RF"})


@dataclass(frozen=True)
class Orderable:
    """An examination, test or referral.

    modality    XR, CT, MR, US, MG, DXA, PET, NM; lab, procedure, referral or other for what is no imaging
    region      chest, abdomen_pelvis, head, cervical_spine, lumbar_spine, hip, ...; None where it has none
    contrast    intravenous contrast: "with", "without", or None where the question does not arise
    laterality  left, right, bilateral or None
    codes       (system, code) pairs that stand for it in orders, results and imaging studies
    """

    key: str
    display: str
    modality: str
    region: str | None = None
    contrast: Literal["with", "without"] | None = None
    laterality: Literal["left", "right", "bilateral"] | None = None
    codes: frozenset[tuple[str, str]] = frozenset()

    @property
    def ionising(self) -> bool:
        """Whether it exposes to ionising radiation."""
        return self.modality in _IONISING


_KEYS = """
    xr_chest xr_chest_pa_lateral xr_chest_portable xr_abdomen xr_lumbar_spine xr_ankle xr_foot xr_knee xr_wrist xr_hip
    xr_femur xr_humerus xr_clavicle xr_ribs xr_ribs_chest ct_chest_without_contrast ct_chest_with_contrast
    ct_chest_low_dose_screening ct_chest_high_resolution ct_pulmonary_angiography ct_thoracic_aorta_angiography
    ct_abdomen_pelvis_with_contrast ct_head_without_contrast ct_cervical_spine_without_contrast
    ct_sinuses_without_contrast mr_lumbar_spine_without_contrast mr_head mg_screening mg_diagnostic us_breast us_chest
    us_leg_veins echocardiography dxa_skeletal dxa_hip dxa_lumbar_spine pet_ct_whole_body vq_scan d_dimer nt_probnp bnp
    troponin creatinine sputum_afb tb_naat hiv_test pregnancy_test bronchoscopy thoracentesis referral_lung_cancer
    referral_respiratory referral_surgery referral_cardiology
"""
ORDERABLE_KEYS = frozenset(_KEYS.split())
"""Keys that every installation has; a hospital's table may add more."""
