"""The embedding of a report for fusion: one number per finding, in a fixed and versioned order.

1 present, 0.5 possible, -1 absent, 0 not mentioned. A hospital's own findings are not part of it,
so its meaning never depends on a site's vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

from nlp.reading import DraftMention
from nlp.result import Embedding

MODEL = "rules-findings"
VERSION = "1"
ORDER: tuple[str, ...] = (
    "lung_opacity", "atelectasis", "cardiomegaly", "enlarged_mediastinum", "consolidation", "pulmonary_edema",
    "pleural_effusion", "pleural_thickening", "pneumothorax", "pneumonia", "tuberculosis", "infiltration",
    "lung_nodule", "lung_mass", "emphysema", "fibrosis", "hiatal_hernia", "fracture", "support_device",
    "breast_abnormality", "hyperinflation", "copd", "interstitial_disease", "vascular_congestion", "heart_failure",
    "scarring", "granuloma", "low_lung_volumes", "lung_cavity", "lymphadenopathy", "hilar_enlargement",
    "aspiration", "ards", "pulmonary_embolism", "pneumoperitoneum", "pneumomediastinum", "subcutaneous_emphysema",
    "endotracheal_tube", "central_venous_catheter", "chest_tube", "pacemaker", "sternotomy",
)  # fmt: skip
_VALUES = {"present": 1.0, "possible": 0.5, "absent": -1.0}
_STRENGTH = {1.0: 3, 0.5: 2, -1.0: 1}


def embed(mentions: Sequence[DraftMention]) -> Embedding:
    """The vector of a report: per finding the strongest of its assertions, in `ORDER`."""
    values = dict.fromkeys(ORDER, 0.0)
    for mention in mentions:
        value = _VALUES.get(mention.assertion)
        if value is not None and mention.finding in values:
            values[mention.finding] = max(value, values[mention.finding], key=lambda one: _STRENGTH.get(one, 0))
    return Embedding(model=MODEL, version=VERSION, values=tuple(values.values()))
