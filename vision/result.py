"""What the vision package returns: one frozen, versioned result per radiograph.

Knows no pixels' origin, no report text, no patient record.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = "1.0"

Population = Literal["adult", "paediatric", "unknown"]
View = Literal["PA", "AP", "lateral", "unknown"]
Structure = Literal["right_lung", "left_lung", "heart"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelRef(_Frozen):
    """The model that produced a value: folder name, version and sha256 of its weights."""

    id: str
    version: str
    sha256: str


class Box(_Frozen):
    """Axis-aligned box in fractions (0-1) of the film's width and height, origin top left."""

    x0: float = Field(ge=0, le=1)
    y0: float = Field(ge=0, le=1)
    x1: float = Field(ge=0, le=1)
    y1: float = Field(ge=0, le=1)


class Region(_Frozen):
    """A place on the film that a finding rests on; `side` is the patient's side."""

    finding: str
    box: Box
    score: float = Field(ge=0, le=1)
    side: Literal["left", "right", "midline"] | None = None
    zone: Literal["upper", "middle", "lower"] | None = None
    polygon: tuple[tuple[float, float], ...] = ()


class Heatmap(_Frozen):
    """Class-activation map on a coarse grid: row-major values 0-1, covering the whole film."""

    finding: str
    height: int
    width: int
    values: tuple[float, ...]


class Finding(_Frozen):
    """One finding key with its score.

    score        calibrated model output, 0-1
    probability  score corrected to the site's configured prevalence; None when none is configured
    label        score against the operating point; None when no cut-off ships for this finding
    threshold    the operating point used; None with label None
    """

    key: str
    score: float = Field(ge=0, le=1)
    probability: float | None = Field(default=None, ge=0, le=1)
    label: bool | None = None
    threshold: float | None = None
    model: ModelRef


class Mask(_Frozen):
    """The outline of one structure; the lungs are named by the patient's side.

    polygons  closed rings of (x, y) in fractions (0-1) of the film's width and height, origin top left
    """

    structure: Structure
    polygons: tuple[tuple[tuple[float, float], ...], ...]
    model: ModelRef


class Measurement(_Frozen):
    """A measured quantity; `value` is None with a `reason` when it cannot be assessed."""

    name: str
    value: float | None
    unit: str
    reason: str | None = None


class Rejection(_Frozen):
    """Why no number is given. `code` is stable and machine-readable, `reason` is for people."""

    code: str
    reason: str


class Embedding(_Frozen):
    model: ModelRef
    values: tuple[float, ...]


class ImagingResult(_Frozen):
    """Everything the encoder says about one radiograph.

    With `rejection` set there are no findings, masks, regions, heatmaps or embedding. `rows` and `columns` are those of
    the film as stored, for which fractions stand; None where it could not be read.
    """

    schema_version: str = SCHEMA_VERSION
    rejection: Rejection | None = None
    findings: tuple[Finding, ...] = ()
    not_applicable: dict[str, str] = {}
    view: View = "unknown"
    view_source: Literal["header", "given", "model", "none"] = "none"
    population: Population = "unknown"
    population_source: Literal["header", "given", "assumed", "none"] = "none"
    quality: dict[str, float | bool | str | None] = {}
    measurements: tuple[Measurement, ...] = ()
    masks: tuple[Mask, ...] = ()
    regions: tuple[Region, ...] = ()
    heatmaps: tuple[Heatmap, ...] = ()
    embedding: Embedding | None = None
    models: tuple[ModelRef, ...] = ()
    image_sha256: str = ""
    rows: int | None = None
    columns: int | None = None
    analysed_at: datetime

    def finding(self, key: str) -> Finding | None:
        """Return the finding with `key`, or None when it was not assessed."""
        return next((finding for finding in self.findings if finding.key == key), None)
