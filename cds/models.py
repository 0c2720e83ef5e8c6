"""The models in service, loaded and verified once per process, with what is refused and why."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from cds.configuration import Configs
from cds.settings import Settings
from cds.site_models import site_models
from cds.site_thresholds import site_cut_offs
from fusion.risks import RiskModels
from nlp import Extractor, Vocabulary
from vision import Analyzer


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
        return RiskModels.load()

    def status(self) -> list[dict[str, Any]]:
        """Return one row per model: id, version, served or refused with the reason."""
        return [*self.analyzer.status(), *self.risks.status()]

    def cut_offs(self) -> list[dict[str, Any]]:
        """Return one row per threshold of the site: in force, or refused with the reason."""
        return self.analyzer.cut_offs()
