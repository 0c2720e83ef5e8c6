"""The secondary capture: the film with a finding's heatmap over it, and words burned in that say what it is."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cds import __version__
from cds.outputs.source import LABEL, MANUFACTURER, Source, own_scheme, stamped
from vision import heatmap_png, read_radiograph, render_png
from vision.result import Finding, Heatmap

_SERIES_NUMBER = 9104
_MAX_SIDE = 1024
_BAND = 56
_ANY_ORIENTATION = ("L", "F")
"""What the maker asks for; the film's own, or none, stands in its place."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def captures(source: Source) -> list[Dataset]:
    """Return a picture for each finding at or above its operating point that has a heatmap, the strongest first."""
    heatmaps = {heatmap.finding: heatmap for heatmap in source.result.heatmaps}
    shown = [finding for finding in source.result.findings if finding.label and finding.key in heatmaps]
    shown.sort(key=lambda finding: -finding.score)
    if not shown:
        return []
    film = cv2.cvtColor(_decoded(render_png(read_radiograph(source.data), _MAX_SIDE)), cv2.COLOR_GRAY2BGR)
    return [_capture(source, finding, heatmaps[finding.key], film) for finding in shown]


def _capture(source: Source, finding: Finding, heatmap: Heatmap, film: Any) -> Dataset:
    height, width = film.shape[:2]
    overlay = _decoded(heatmap_png(heatmap, width, height))
    opacity = overlay[..., 3:].astype(np.float32) / 255
    picture = film[..., :3] * (1 - opacity) + overlay[..., :3] * opacity
    picture = np.vstack([_words(source, finding, width), np.round(picture).astype(np.uint8)])
    made = SCImage.from_ref_dataset(
        ref_dataset=source.header,
        pixel_array=np.ascontiguousarray(picture[..., ::-1]),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=source.series_uid("capture"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=source.instance_uid(f"capture-{finding.key}"),
        instance_number=100 * source.revision + [f.key for f in source.result.findings].index(finding.key) + 1,
        patient_orientation=_ANY_ORIENTATION,
        coding_schemes=[own_scheme()],
        **source.equipment(),
    )
    made.PatientOrientation = source.header.get("PatientOrientation", "")
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.BurnedInAnnotation = "YES" if source.header.get("BurnedInAnnotation") == "YES" else "NO"
    made.DerivationDescription = f"Heatmap of {finding.key} by {finding.model.id} {finding.model.version}; {LABEL}"
    return stamped(made, source)


def _words(source: Source, finding: Finding, width: int) -> NDArray[np.uint8]:
    """Return a band with what the picture is, in letters that fit its width."""
    band = np.zeros((_BAND, width, 3), np.uint8)
    lines = (
        f"{LABEL}. {source.codes.display(finding.key)}: score {finding.score:.2f}",
        f"{MANUFACTURER} {__version__}, model {finding.model.id} {finding.model.version}",
    )
    for number, line in enumerate(lines):
        size = cv2.getTextSize(line, _FONT, 0.6, 1)[0][0]
        scale = 0.6 * min(1.0, (width - 12) / size)
        cv2.putText(band, line, (6, 22 + 24 * number), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return band


def _decoded(png: bytes) -> NDArray[np.uint8]:
    picture: Any = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(picture, np.uint8)
