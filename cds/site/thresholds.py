"""A site's own thresholds: `thresholds.yaml`, an entry per finding, bound to the model that gave the scores.

An entry may also name an institution and a device, as the header of a film has them: it then holds for those films.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from cds.site.configuration import Configs
from cds.site.entries import put_entry, site_entries
from vision import CutOff

if TYPE_CHECKING:
    from fusion.evaluation.operating_points import OperatingPoint

FILE, TOP = "thresholds.yaml", "thresholds"
_HEAD = (
    "# Thresholds of this site by finding, written by `cds calibrate`; each holds for the model with its sha256 only.\n"
)


class _Entry(BaseModel):
    """What of an entry is used; its figures are for people."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    finding: str
    model: str
    model_sha256: str
    value: float = Field(gt=0, lt=1)
    institution: str | None = None
    device: str | None = None


def site_cut_offs(configs: Configs) -> tuple[CutOff, ...]:
    """Return the thresholds of the site, none where it has no such file. Raises ConfigurationError for a bad one."""
    return tuple(
        CutOff(entry.finding, entry.model, entry.model_sha256, entry.value, entry.institution, entry.device)
        for entry in site_entries(configs, FILE, TOP, _Entry)
    )


def threshold_entry(
    finding: str,
    model: str,
    sha256: str,
    point: OperatingPoint,
    at: datetime,
    *,
    institution: str | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Return what is written of a threshold: value, operating point with intervals, prevalence, model, and for whom.

    institution, device  as the header of the films has them; None: for the films of all
    """
    figures = {name: _plain(value) for name, value in asdict(point).items()}
    binding = {"institution": institution, "device": device}
    named = {name: value.strip().upper() for name, value in binding.items() if value is not None}
    return {
        "id": ", ".join([finding, *named.values()]),
        "finding": finding,
        **named,
        "model": model,
        "model_sha256": sha256,
        "value": figures.pop("threshold"),
        "operating_point": f"{point.aim} {point.wished:g}",
        "calibrated_at": at.isoformat(timespec="seconds"),
        **{name: value for name, value in figures.items() if name not in ("aim", "wished")},
    }


def write_threshold(config_dir: Path, entry: dict[str, Any]) -> Path:
    """Put an entry into the site's thresholds.yaml in place of an older one of the same id; returns the file.

    Raises ConfigurationError when the file that is there is not a table of thresholds.
    """
    return put_entry(config_dir / FILE, TOP, entry, head=_HEAD)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
