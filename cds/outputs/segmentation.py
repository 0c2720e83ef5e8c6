"""The segmentation: outlines of lungs and heart as binary masks of the film's own pixels."""

from __future__ import annotations

import highdicom
import numpy as np
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from cds.outputs.source import MANUFACTURER, Source, own_scheme, stamped
from vision.outline import filled
from vision.result import Mask

_SERIES_NUMBER = 9102
_TYPES = {
    "left_lung": (codes.SCT.Lung, codes.SCT.Left),
    "right_lung": (codes.SCT.Lung, codes.SCT.Right),
    "heart": (codes.SCT.Heart, None),
}


def segmentation(source: Source) -> Dataset | None:
    """Return the masks of a film as one object, or None where there are none."""
    masks = [mask for mask in source.result.masks if mask.structure in _TYPES and mask.polygons]
    if not masks:
        return None
    pixels = np.stack([rasterised(mask, source.rows, source.columns) for mask in masks], axis=-1)
    made = Segmentation(
        source_images=[source.header],
        pixel_array=pixels[np.newaxis],
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_described(number, mask) for number, mask in enumerate(masks, start=1)],
        series_instance_uid=source.series_uid("segmentation"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=source.instance_uid("segmentation"),
        instance_number=source.revision,
        omit_empty_frames=False,
        content_label="ANATOMY",
        coding_schemes=[own_scheme()],
        **source.equipment(),
    )
    if "PatientOrientation" not in made:
        made.PatientOrientation = source.header.get("PatientOrientation", "")
    return stamped(made, source)


def rasterised(mask: Mask, rows: int, columns: int) -> NDArray[np.uint8]:
    """Return a mask as rows x columns of 0 and 1."""
    return filled(mask.polygons, rows, columns).astype(np.uint8)


def _described(number: int, mask: Mask) -> SegmentDescription:
    kind, side = _TYPES[mask.structure]
    described = SegmentDescription(
        segment_number=number,
        segment_label=mask.structure.replace("_", " "),
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=kind,
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=f"{MANUFACTURER} {mask.model.id}",
            version=mask.model.version,
            family=codes.cid7162.ArtificialIntelligence,
        ),
        tracking_uid=None,
    )
    if side is not None:
        item = described.SegmentedPropertyTypeCodeSequence[0]
        item.SegmentedPropertyTypeModifierCodeSequence = [CodedConcept(side.value, "SCT", side.meaning)]
    return described
