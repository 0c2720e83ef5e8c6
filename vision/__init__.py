"""Pixels -> ImagingResult. Knows no text, no patient record, no web.

The story in the order of the data: read -> gate -> prepare -> encode -> explain -> measure -> result.
"""

from __future__ import annotations

from vision.analyze import Analyzer
from vision.cut_offs import CutOff
from vision.depth import DeepPicture, deep_picture
from vision.errors import ModelVerificationError, UnreadableImageError, VisionError
from vision.files import analyze_files
from vision.places import InService
from vision.radiograph import Radiograph
from vision.read import read_radiograph
from vision.render import heatmap_png, masks_png, render_png
from vision.result import ImagingResult
from vision.technique import Technique

__all__ = [
    "Analyzer",
    "CutOff",
    "DeepPicture",
    "ImagingResult",
    "InService",
    "ModelVerificationError",
    "Radiograph",
    "Technique",
    "UnreadableImageError",
    "VisionError",
    "analyze_files",
    "deep_picture",
    "heatmap_png",
    "masks_png",
    "read_radiograph",
    "render_png",
]
