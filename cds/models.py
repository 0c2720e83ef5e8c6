"""The models in service, loaded and verified once per process, with what is refused and why."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

import fusion
import vision
from cds.settings import Settings
from cds.site.configuration import Configs
from cds.site.models import site_findings, site_models
from cds.site.thresholds import site_cut_offs
from fusion.risks import RiskModels
from nlp import Extractor, Vocabulary
from vision import Analyzer

CARD = "model.yaml"


class Models:
    """Vision, extractor and risks by the settings and configs in force; each is loaded when first asked for."""

    def __init__(self, settings: Settings, configs: Configs) -> None:
        self._settings = settings
        self._configs = configs

    @cached_property
    def analyzer(self) -> Analyzer:
        return Analyzer(
            threads=self._settings.inference_threads,
            prevalence=self._settings.prevalence,
            cut_offs=site_cut_offs(self._configs),
            in_service=site_models(self._configs),
        )

    @cached_property
    def extractor(self) -> Extractor:
        known = list(self._configs.findings())
        return Extractor(Vocabulary.from_documents(self._configs.documents("lexicon"), known=known))

    @cached_property
    def risks(self) -> RiskModels:
        return RiskModels.load(findings=site_findings(self._configs))

    def status(self) -> list[dict[str, Any]]:
        """Return one row per model: id, version, served or refused with the reason."""
        return [*self.analyzer.status(), *self.risks.status()]

    def card(self, model_id: str) -> dict[str, Any] | None:
        """Return the card of a model as it stands in its folder; None where it cannot be read."""
        return next((card for card in self._cards() if card.get("id") == model_id), None)

    def _cards(self) -> Iterator[dict[str, Any]]:
        packaged = [file for package in (vision, fusion) for file in _card_files(package)]
        of_site = [model.folder / CARD for model in site_models(self._configs) if model.folder is not None]
        for file in [*of_site, *packaged]:
            try:
                card = yaml.safe_load(file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError):
                continue
            if isinstance(card, dict):
                yield card

    def cut_offs(self) -> list[dict[str, Any]]:
        """Return one row per threshold of the site: in force, or refused with the reason."""
        return self.analyzer.cut_offs()


def _card_files(package: ModuleType) -> list[Path]:
    return sorted((Path(str(package.__file__)).parent / "models").glob(f"*/{CARD}"))
