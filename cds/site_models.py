"""Models that a site has put into service: `models.yaml`, an entry per model, bound to the hash of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from cds.configuration import Configs
from cds.site_entries import put_entry, site_entries
from vision import InService

FILE, TOP = "models.yaml", "models"
_HEAD = "# Models that this site has put into service, written by `cds promote`; each is that with its sha256 only.\n"


class _Entry(BaseModel):
    """A model; `folder` is absolute or below the site's configs, and absent for the packaged one."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    sha256: str
    folder: Path | None = None


def site_models(configs: Configs) -> tuple[InService, ...]:
    """Return the models of the site, none where it has no such file. Raises ConfigurationError for a bad one."""
    return tuple(
        InService(entry.id, entry.sha256, None if entry.folder is None else (configs.site or Path()) / entry.folder)
        for entry in site_entries(configs, FILE, TOP, _Entry)
    )


def write_model(config_dir: Path, entry: dict[str, Any]) -> Path:
    """Put an entry into the site's models.yaml in place of an older one of the model; returns the file."""
    return put_entry(config_dir / FILE, TOP, entry, head=_HEAD)
