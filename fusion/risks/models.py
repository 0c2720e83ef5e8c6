"""The learned risks that are served: loaded and verified once, asked per patient."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from fusion.assessment import RiskResult
from fusion.errors import ModelError
from fusion.facts import Patient
from fusion.modalities import ImagingInput, ReportInput
from fusion.risks import deterioration, intensive_care
from fusion.risks.card import ModelCard
from fusion.risks.deterioration import DeteriorationModel
from fusion.risks.events import stays_of

PACKAGED = Path(__file__).parents[1] / "models"

State = Literal["served", "off", "refused"]


class ModelStatus(BaseModel):
    """What became of one model: served; off, by its card; or refused, because it could not be verified."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    version: str | None = None
    sha256: str | None = None
    state: State
    reason: str | None = None

    @classmethod
    def of(cls, card: ModelCard) -> ModelStatus:
        state: State = "served" if card.enabled else "off"
        reason = None if card.enabled else card.reason or "switched off"
        return cls(id=card.id, version=card.version, sha256=card.weights_sha256, state=state, reason=reason)


class RiskModels:
    """Verified models, and what became of each."""

    def __init__(self, deterioration_model: DeteriorationModel | None, statuses: Mapping[str, ModelStatus]) -> None:
        self._deterioration = deterioration_model
        self._statuses = dict(statuses)

    @classmethod
    def load(cls, folder: Path | None = None) -> RiskModels:
        """Return the models in a folder (default: those packaged); a bad one is refused, with the reason."""
        path = (folder or PACKAGED) / deterioration.NAME
        try:
            model = DeteriorationModel.load(path)
        except ModelError as error:
            refusal = ModelStatus(id=deterioration.NAME, state="refused", reason=str(error))
            return cls(None, {deterioration.NAME: refusal})
        return cls(model if model.card.enabled else None, {deterioration.NAME: ModelStatus.of(model.card)})

    def status(self) -> list[dict[str, Any]]:
        """Return a row per model: id, version, sha256, state (served, off or refused) and reason."""
        return [status.model_dump() for status in self._statuses.values()]

    def assess(
        self, patient: Patient, imaging: ImagingInput | None, report: ReportInput | None, at: datetime
    ) -> tuple[RiskResult, ...]:
        """Return the learned risks of a patient at a time; outside their population they say so."""
        return (self._of_deterioration(patient, at),)

    def _of_deterioration(self, patient: Patient, at: datetime) -> RiskResult:
        model = self._deterioration
        if model is None:
            status = self._statuses[deterioration.NAME]
            return RiskResult(
                name=deterioration.NAME,
                title="In-hospital death (intensive care)",
                status="not_served",
                reason=status.reason,
                outcome="in-hospital death",
                population="adult intensive care",
                model=deterioration.NAME,
                model_version=status.version or "",
                sha256=status.sha256 or "",
            )
        base = RiskResult(
            name=deterioration.NAME,
            title=model.card.title,
            status="not_applicable",
            reason=intensive_care.reason_outside(patient, at),
            outcome=model.card.outcome,
            population=model.card.population,
            modalities=("record",),
            model=model.card.id,
            model_version=model.card.version,
            sha256=model.sha256,
        )
        stay = intensive_care.stay_of(patient, at)
        if base.reason is not None or stay is None or stay.start is None:
            return base
        return _within_stay(model, base, patient, stay.start, at)


def _within_stay(
    model: DeteriorationModel, base: RiskResult, patient: Patient, start: datetime, at: datetime
) -> RiskResult:
    seen = intensive_care.observed(patient, start, at)
    absent = intensive_care.missing(seen)
    used = intensive_care.inputs_used(seen)
    if len(used) < intensive_care.MINIMUM_PARAMETERS:
        least = intensive_care.MINIMUM_PARAMETERS
        reason = f"only {len(used)} parameters measured in the stay; at least {least} are needed"
        return base.model_copy(update={"reason": reason, "inputs": used, "missing": absent})
    stays = stays_of(intensive_care.events_of(patient, start, at, seen))
    features, probability, weights = model.reasons(stays)
    return base.model_copy(
        update={
            "status": "ok",
            "probability": round(float(probability[0]), 4),
            "contributions": intensive_care.in_words(_first_row(weights), _first_row(features)),
            "inputs": used,
            "missing": absent,
        }
    )


def _first_row(table: pd.DataFrame) -> dict[str, float]:
    return dict(zip(table.columns, table.to_numpy(dtype=float)[0].tolist(), strict=True))
