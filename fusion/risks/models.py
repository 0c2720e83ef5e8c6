"""The learned risks that are served: loaded and verified once, asked per patient."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd

from fusion.assessment import RiskResult
from fusion.errors import ModelError
from fusion.facts import Patient
from fusion.modalities import ImagingInput, ReportInput
from fusion.risks import deterioration, intensive_care
from fusion.risks.deterioration import DeteriorationModel
from fusion.risks.events import stays_of

PACKAGED = Path(__file__).parents[1] / "models"


class RiskModels:
    """Verified models by name, and why others are refused."""

    def __init__(
        self, deterioration_model: DeteriorationModel | None, refused: Mapping[str, str] | None = None
    ) -> None:
        self._deterioration = deterioration_model
        self.refused: Mapping[str, str] = dict(refused or {})

    @classmethod
    def load(cls, folder: Path | None = None) -> RiskModels:
        """Return the models in a folder (default: those packaged); a bad one is refused, with the reason."""
        root = folder or PACKAGED
        refused: dict[str, str] = {}
        model = None
        try:
            model = DeteriorationModel.load(root / deterioration.NAME)
            if not model.card.enabled:
                refused[deterioration.NAME] = model.card.reason or "switched off"
                model = None
        except ModelError as error:
            refused[deterioration.NAME] = str(error)
        return cls(model, refused)

    def status(self) -> list[dict[str, str | bool | None]]:
        """Return each model with version and hash, served or refused with the reason."""
        rows: list[dict[str, str | bool | None]] = []
        if self._deterioration is not None:
            card = self._deterioration.card
            rows.append(
                {"id": card.id, "version": card.version, "sha256": card.weights_sha256, "served": True, "reason": None}
            )
        rows += [
            {"id": name, "version": None, "sha256": None, "served": False, "reason": reason}
            for name, reason in self.refused.items()
        ]
        return rows

    def assess(
        self, patient: Patient, imaging: ImagingInput | None, report: ReportInput | None, at: datetime
    ) -> tuple[RiskResult, ...]:
        """Return the learned risks of a patient at a time; outside their population they say so."""
        return (self._of_deterioration(patient, at),)

    def _of_deterioration(self, patient: Patient, at: datetime) -> RiskResult:
        model = self._deterioration
        if model is None:
            return RiskResult(
                name=deterioration.NAME,
                title="In-hospital death (intensive care)",
                status="not_served",
                reason=self.refused.get(deterioration.NAME, "no model"),
                outcome="in-hospital death",
                population="adult intensive care",
                model=deterioration.NAME,
                model_version="",
                sha256="",
            )
        card = model.card
        base = RiskResult(
            name=deterioration.NAME,
            title=card.title,
            status="not_applicable",
            reason=intensive_care.reason_outside(patient, at),
            outcome=card.outcome,
            population=card.population,
            modalities=("record",),
            model=card.id,
            model_version=card.version,
            sha256=card.weights_sha256,
        )
        stay = intensive_care.stay_of(patient, at)
        if base.reason is not None or stay is None or stay.start is None:
            return base
        absent = intensive_care.missing(patient, stay.start, at)
        used = intensive_care.inputs_used(patient, stay.start, at)
        if len(used) < intensive_care.MINIMUM_PARAMETERS:
            least = intensive_care.MINIMUM_PARAMETERS
            reason = f"only {len(used)} parameters measured in the stay; at least {least} are needed"
            return base.model_copy(update={"reason": reason, "inputs": used, "missing": absent})
        stays = stays_of(intensive_care.events_of(patient, stay.start, at))
        features, weights = model.contributions(stays)
        return base.model_copy(
            update={
                "status": "ok",
                "probability": round(float(model.probability(stays)[0]), 4),
                "contributions": intensive_care.in_words(_first_row(weights), _first_row(features)),
                "inputs": used,
                "missing": absent,
            }
        )


def _first_row(table: pd.DataFrame) -> dict[str, float]:
    return {str(name): float(value) for name, value in table.iloc[0].items()}
