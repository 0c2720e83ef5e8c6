"""What a film says it shows, and so which models may speak of it: the chest, a limb, a breast. Looks at no pixel.

Chest stands for everything that is not plainly one of the others; the gate then refuses what is no chest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from vision.gate_header import CHEST, RADIOGRAPHY, UNTOLD, stated_part
from vision.radiograph import Radiograph
from vision.technique import Technique

Subject = Literal["chest", "limb", "breast"]
MODEL_OF: Mapping[Subject, str] = {"limb": "fracture", "breast": "mammography"}
"""Name of the model folder that speaks of a subject other than the chest."""
_MAMMOGRAPHY = "MG"
_LIMB = re.compile(
    r"ANKLE|ARM\b|CALCAN|ELBOW|EXTREM|FEMUR|FINGER|FOOT|FOREARM|HAND|HEEL|HIP\b|HUMERUS|KNEE|LEG\b|PATELLA|RADIUS|"
    r"SHOULDER|THUMB|TIBIA|FIBULA|TOE\b|ULNA|WRIST"
)


def subject_of(radiograph: Radiograph, technique: Technique) -> Subject:
    """Return what modality and body part, by the header or else as given, say of a film."""
    part, modality = stated_part(radiograph, technique), radiograph.modality
    untold = modality is None or modality in UNTOLD
    if modality == _MAMMOGRAPHY or (untold and "BREAST" in part):
        return "breast"
    plain = untold or modality in RADIOGRAPHY
    return "limb" if plain and _LIMB.search(part) and not CHEST.search(part) else "chest"
