"""A site's own thresholds: one entry of `thresholds.yaml` per finding, bound to the model that gave the scores."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from cds.errors import ConfigurationError
from fusion.evaluation.operating_points import OperatingPoint

FILE = "thresholds.yaml"
_HEAD = (
    "# Thresholds of this site by finding, written by `cds calibrate`; each holds for the model with its sha256 only.\n"
)


def threshold_entry(finding: str, model: str, sha256: str, point: OperatingPoint, at: datetime) -> dict[str, Any]:
    """Return what is written of a threshold: value, operating point with intervals, prevalence, and the model."""
    figures = {name: _plain(value) for name, value in asdict(point).items()}
    return {
        "id": finding,
        "model": model,
        "model_sha256": sha256,
        "value": figures.pop("threshold"),
        "operating_point": f"{point.aim} {point.wished:g}",
        "calibrated_at": at.isoformat(timespec="seconds"),
        **{name: value for name, value in figures.items() if name not in ("aim", "wished")},
    }


def write_threshold(config_dir: Path, entry: dict[str, Any]) -> Path:
    """Put an entry into the site's thresholds.yaml in place of an older one of the finding; returns the file.

    Raises ConfigurationError when the file that is there is not a table of thresholds.
    """
    file = config_dir / FILE
    document: Any = {"thresholds": []}
    if file.is_file():
        try:
            document = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            raise ConfigurationError(f"{FILE}: not YAML") from None
    entries = document.get("thresholds") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "id" in e for e in entries):
        raise ConfigurationError(f"{FILE}: expected a list 'thresholds' whose entries each have an id")
    kept = [other for other in entries if other["id"] != entry["id"]]
    text = yaml.safe_dump({"thresholds": [*kept, entry]}, sort_keys=False, allow_unicode=True)
    config_dir.mkdir(parents=True, exist_ok=True)
    written = file.with_suffix(".yaml.writing")
    written.write_text(_HEAD + text, encoding="utf-8")
    written.replace(file)
    return file


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
