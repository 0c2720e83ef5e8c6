"""Models that a site has put into service: `models.yaml`, an entry per model, bound to the hash of its weights.

Putting one there is an act: it is recorded, with the figures of its card, before the file is changed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from cds.errors import ConfigurationError
from cds.oversight.promotion import record_act
from cds.settings import Settings
from cds.site.configuration import Configs
from cds.site.entries import put_entry, site_entries
from fusion.errors import ModelError
from fusion.risks.paired_findings import NAME as FINDINGS
from fusion.risks.paired_findings import PairedFindings
from vision import InService
from vision.analyze import MODELS
from vision.places import PREFIX, encoder_place

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
        if entry.id != FINDINGS
    )


def site_findings(configs: Configs) -> tuple[Path, str] | None:
    """Return folder and hash of the model that joins film and report at the site, None where there is none."""
    for entry in site_entries(configs, FILE, TOP, _Entry):
        if entry.id == FINDINGS and entry.folder is not None:
            return (configs.site or Path()) / entry.folder, entry.sha256
    return None


@dataclass(frozen=True)
class ModelPromotion:
    """Who put which weights into service, when, why, and what their card says of each finding."""

    act: str
    model: str
    sha256: str
    folder: str | None
    by: str
    reason: str
    at: str
    figures: dict[str, Any]


def is_model(subject: str) -> bool:
    """Return whether what is to be promoted is a model rather than a service."""
    return subject == FINDINGS or subject.startswith(PREFIX)


def promote_model(
    settings: Settings, model: str, folder: Path | None, *, by: str, reason: str, at: datetime
) -> ModelPromotion:
    """Record that a model is put into service, then write it to models.yaml; it takes effect at the next start.

    folder  of the model; None: the packaged one

    Raises ConfigurationError when the site has no configs, or the model does not pass its verification.
    """
    if settings.config_dir is None:
        raise ConfigurationError("no folder for the site's configs: set CDS_CONFIG_DIR")
    if model == FINDINGS:
        return _promoted_findings(settings.config_dir, settings.data_dir, folder, by=by, reason=reason, at=at)
    place = encoder_place(folder or MODELS / model.removeprefix(PREFIX), settings.inference_threads, force=True)
    if place.encoder is None or place.ref is None:
        raise ConfigurationError(f"{model} cannot be put into service: {place.reason}")
    if place.ref.id != model:
        raise ConfigurationError(f"the folder holds {place.ref.id}, not {model}")
    figures = {label: place.encoder.card.metrics[label]["auroc"] for label in place.labels}
    where = None if folder is None else str(folder.resolve())
    promotion = ModelPromotion(
        "promote model", model, place.ref.sha256, where, by, reason, at.isoformat(timespec="seconds"), figures
    )
    record_act(settings.data_dir, asdict(promotion))
    entry = {"id": model, "sha256": place.ref.sha256, "by": by, "at": promotion.at}
    put_entry(settings.config_dir / FILE, TOP, entry | ({} if where is None else {"folder": where}), head=_HEAD)
    return promotion


def _promoted_findings(
    configs: Path, data: Path, folder: Path | None, *, by: str, reason: str, at: datetime
) -> ModelPromotion:
    if folder is None:
        raise ConfigurationError("findings: give the folder that `cds train fusion --task findings` has written")
    try:
        card = PairedFindings.load(folder).card
    except ModelError as error:
        raise ConfigurationError(f"findings cannot be put into service: {error}") from None
    where = str(folder.resolve())
    figures = {finding: found["auroc"] for finding, found in card.metrics.items()}
    promotion = ModelPromotion(
        "promote model", FINDINGS, card.weights_sha256, where, by, reason, at.isoformat(timespec="seconds"), figures
    )
    record_act(data, asdict(promotion))
    entry = {"id": FINDINGS, "sha256": card.weights_sha256, "by": by, "at": promotion.at, "folder": where}
    put_entry(configs / FILE, TOP, entry, head=_HEAD)
    return promotion
