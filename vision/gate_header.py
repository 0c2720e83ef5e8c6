"""What the header alone rules out: another modality, another body part, another projection. Looks at no pixel.

What a header does not say, or says in a word that is not known, is left to the pixels.
"""

from __future__ import annotations

import re
from typing import Literal

from vision.header import view_of
from vision.radiograph import HeaderView, Radiograph
from vision.result import Rejection
from vision.technique import Technique

RADIOGRAPHY = frozenset({"CR", "DX", "DR", "RG"})
UNTOLD = frozenset({"OT", "SC"})
"""Modalities that say nothing of the picture: other, secondary capture (PS3.3 C.7.3.1.1.1)."""
_MODALITIES = {
    "CT": "a CT image",
    "MR": "an MR image",
    "MG": "a mammogram",
    "US": "an ultrasound image",
    "NM": "a nuclear medicine image",
    "PT": "a PET image",
    "XA": "an angiogram",
    "RF": "a fluoroscopy image",
    "IO": "an intra-oral dental film",
    "PX": "a panoramic dental film",
    "DXA": "a bone density image",
    "BMD": "a bone density image",
    "ES": "an endoscopic picture",
    "SM": "a microscopic picture",
    "XC": "a photograph",
    "OP": "an ophthalmic photograph",
    "GM": "a microscopic picture",
}
CHEST = re.compile(r"CHEST|THORAX|LUNG|PULMON|CXR|TORAX")
_ELSEWHERE = re.compile(
    r"ABDOM|ANKLE|ARM\b|BREAST|CALCAN|CLAVIC|COCCYX|ELBOW|EXTREM|EYE|FACE|FEMUR|FINGER|FOOT|FOREARM|HAND|HEAD|HEEL|"
    r"HIP\b|HUMERUS|JAW|KIDNEY|KNEE|LEG\b|MANDIB|MAXILL|NASAL|NECK|ORBIT|PATELLA|PELVI|RADIUS|SACR|SCAPULA|SHOULDER|"
    r"SINUS|SKULL|SPINE|TEETH|TOOTH|THUMB|TIBIA|FIBULA|TOE\b|ULNA|WRIST|WHOLE\s?BODY"
)
"""Other body parts of PS3.16 annex L, and the words that sites write for them."""
RAW = Rejection(code="raw_detector_data", reason="raw detector data, not an image for presentation")
_OTHER_VIEWS: dict[HeaderView, str] = {
    "lateral": "a lateral view",
    "oblique": "an oblique view",
    "decubitus": "a lateral decubitus view",
}


def stated_part(radiograph: Radiograph, technique: Technique) -> str:
    """Return the body part by the header, else as given, upper case; empty where neither says."""
    return (radiograph.body_part or technique.body_part or "").upper()


def stated_view(
    radiograph: Radiograph, technique: Technique
) -> tuple[HeaderView | None, Literal["header", "given", "none"]]:
    """Return the view and who states it: header, given or none."""
    if radiograph.view is not None:
        return radiograph.view, "header"
    given = view_of(technique.view or "")
    return given, "given" if given is not None else "none"


def header_rejection(radiograph: Radiograph, technique: Technique) -> Rejection | None:
    """Return why the header, or what is given beside it, rules out a frontal chest film; None when it does not."""
    modality = radiograph.modality
    if modality is not None and modality not in RADIOGRAPHY | UNTOLD:
        kind = _MODALITIES.get(modality, "not a plain radiograph")
        return Rejection(code="wrong_modality", reason=f"{kind}; only chest radiographs are assessed")
    if not radiograph.presentation:
        return RAW
    part = stated_part(radiograph, technique)
    if _ELSEWHERE.search(part) and not CHEST.search(part):
        return Rejection(code="wrong_body_part", reason="the body part is not the chest")
    view, _ = stated_view(radiograph, technique)
    if view in _OTHER_VIEWS:
        return Rejection(code="not_frontal", reason=f"{_OTHER_VIEWS[view]}; only frontal views are assessed")
    return None
