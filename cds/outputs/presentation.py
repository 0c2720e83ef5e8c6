"""The presentation state: the film as it is shown, with the regions of its findings as graphics (PS3.3 A.33.1)."""

from __future__ import annotations

import numpy as np
from highdicom import PresentationLUTTransformation
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cds.outputs.report import outline
from cds.outputs.source import LABEL, Source, own_scheme, stamped
from vision.result import Region

_SERIES_NUMBER = 9103
_LONGEST_TEXT = 1024


def presentation_state(source: Source) -> Dataset | None:
    """Return the regions of the findings at or above their operating point; None where there are none."""
    positive = {finding.key for finding in source.result.findings if finding.label}
    regions = [region for region in source.result.regions if region.finding in positive]
    if not regions:
        return None
    layer = GraphicLayer(layer_name="FINDINGS", order=1, description=LABEL)
    annotation = GraphicAnnotation(
        referenced_images=[source.header],
        graphic_layer=layer,
        graphic_objects=[
            GraphicObject(graphic_type="POLYLINE", graphic_data=_within(source, region), units="PIXEL")
            for region in regions
        ],
        text_objects=[_named(source, region) for region in regions],
    )
    made = GrayscaleSoftcopyPresentationState(
        referenced_images=[source.header],
        series_instance_uid=source.series_uid("presentation"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=source.instance_uid("presentation"),
        instance_number=source.revision,
        content_label="FINDINGS",
        content_description=LABEL,
        graphic_annotations=[annotation],
        graphic_layers=[layer],
        presentation_lut_transformation=PresentationLUTTransformation(presentation_lut_shape=_shape(source)),
        coding_schemes=[own_scheme()],
        **source.equipment(),
    )
    return stamped(made, source)


def _shape(source: Source) -> str:
    """Return how values become light: inverted where the film says that its highest are black."""
    return "INVERSE" if source.header.get("PhotometricInterpretation") == "MONOCHROME1" else "IDENTITY"


def _within(source: Source, region: Region) -> NDArray[np.float64]:
    """Return an outline in pixels counted from 1 (PS3.3 C.10.5.1.2)."""
    return np.asarray(np.clip(outline(source, region) + 1, 1, (source.columns, source.rows)), np.float64)


def _named(source: Source, region: Region) -> TextObject:
    left, top = _within(source, region).min(axis=0)
    score = source.result.finding(region.finding)
    words = f"{source.codes.display(region.finding)} {score.score:.2f} ({LABEL.lower()})" if score else LABEL
    return TextObject(text_value=words[:_LONGEST_TEXT], units="PIXEL", anchor_point=(float(left), float(top)))
