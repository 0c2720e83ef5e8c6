"""The radiograph as it is displayed: pixels, and the few facts of its header that analysis may use.

Knows no file format and no model. Holds nothing that names a person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sex = Literal["male", "female", "other"]
HeaderView = Literal["PA", "AP", "lateral", "oblique", "decubitus"]


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One greyscale picture, as a viewer would show it.

    pixels               float32, H x W, 0-1; air dark, bone bright; half of rows and columns where it was read so
    sha256               of the bytes it was read from
    rows, columns, bits  as stored
    has_metadata         whether it came with a DICOM header
    modality, body_part  upper case, as in the header; None where not said
    view                 projection by the header; None where not said or not understood
    laterality           L, R, B or None
    patient_orientation  where the columns and the rows point to (PS3.3 C.7.6.1.1.1), such as ("L", "F")
    age_years            at the time of the film
    pixel_spacing_mm     between rows and between columns; of the detector where nothing was calibrated
    burned_in            whether the header says that text is burned into the pixels
    presentation         False for raw detector data (Presentation Intent Type FOR PROCESSING)
    upright              whether the patient stood or sat upright; None where not said
    institution, device  Institution Name and Manufacturer's Model Name, upper case; None where not said
    colour               share of pixels that are truly coloured; a film has next to none
    """

    pixels: NDArray[np.float32] = field(repr=False)
    sha256: str
    rows: int
    columns: int
    bits: int
    has_metadata: bool
    modality: str | None = None
    body_part: str | None = None
    view: HeaderView | None = None
    laterality: str | None = None
    patient_orientation: tuple[str, ...] = ()
    age_years: float | None = None
    sex: Sex | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    burned_in: bool | None = None
    presentation: bool = True
    institution: str | None = None
    device: str | None = None
    upright: bool | None = None
    colour: float = 0.0
