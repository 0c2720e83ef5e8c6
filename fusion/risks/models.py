"""The learned risks that are served: loaded and verified once, asked per patient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict

from fusion.assessment import Evidence, InputUsed, RiskResult
from fusion.errors import ModelError, ModelVerificationError
from fusion.facts import Patient
from fusion.modalities import ImagingInput, ReportInput
from fusion.risks import deterioration, intensive_care, paired_findings, severity, severity_features, severity_patient
from fusion.risks.card import ModelCard
from fusion.risks.deterioration import DeteriorationModel
from fusion.risks.events import stays_of
from fusion.risks.paired_findings import PairedFindings
from fusion.risks.severity import SeverityModel

PACKAGED = Path(__file__).parents[1] / "models"

State = Literal["served", "off", "refused"]
_Model = TypeVar("_Model", DeteriorationModel, SeverityModel, PairedFindings)
_MODALITY_WORDS = {"image": "imaging", "text": "report", "record": "record"}


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

    def __init__(
        self,
        deterioration_model: DeteriorationModel | None,
        severity_model: SeverityModel | None,
        statuses: Mapping[str, ModelStatus],
        findings: PairedFindings | None = None,
    ) -> None:
        self._deterioration = deterioration_model
        self._severity = severity_model
        self._statuses = dict(statuses)
        self._findings = findings

    @classmethod
    def load(cls, folder: Path | None = None, *, findings: tuple[Path, str] | None = None) -> RiskModels:
        """Return the models in a folder (default: those packaged); a bad one is refused, with the reason.

        findings  folder of the model of findings that a site has put into service, and the hash it was put there with

        Severity may be absent altogether: then nothing is said of it.
        """
        root = folder or PACKAGED
        statuses: dict[str, ModelStatus] = {}
        first = _served(root / deterioration.NAME, DeteriorationModel.load, statuses)
        second = None
        if (root / severity.NAME).is_dir():
            second = _served(root / severity.NAME, SeverityModel.load, statuses)
        if findings is None:
            return cls(first, second, statuses)
        place, sha256 = findings
        third = _served(place, lambda path: _bound(PairedFindings.load(path), sha256), statuses, paired_findings.NAME)
        return cls(first, second, statuses, third)

    @property
    def findings(self) -> PairedFindings | None:
        """The site's model that joins film and report per finding; None where none is in service."""
        return self._findings

    def status(self) -> list[dict[str, Any]]:
        """Return a row per model: id, version, sha256, state (served, off or refused) and reason."""
        return [status.model_dump() for status in self._statuses.values()]

    def assess(
        self, patient: Patient, imaging: ImagingInput | None, report: ReportInput | None, at: datetime
    ) -> tuple[RiskResult, ...]:
        """Return the learned risks of a patient at a time; outside their population they say so."""
        of_deterioration = self._of_deterioration(patient, at)
        if severity.NAME not in self._statuses:
            return (of_deterioration,)
        return of_deterioration, self._of_severity(patient, imaging, report, at)

    def _of_deterioration(self, patient: Patient, at: datetime) -> RiskResult:
        model = self._deterioration
        if model is None:
            return self._not_served(deterioration.NAME, "In-hospital death (intensive care)", "adult intensive care")
        base = _of_card(model.card, model.sha256, intensive_care.reason_outside(patient, at), ("record",))
        stay = intensive_care.stay_of(patient, at)
        if base.reason is not None or stay is None or stay.start is None:
            return base
        return _within_stay(model, base, patient, stay.start, at)

    def _of_severity(
        self, patient: Patient, imaging: ImagingInput | None, report: ReportInput | None, at: datetime
    ) -> RiskResult:
        model = self._severity
        if model is None:
            return self._not_served(severity.NAME, "Intensive care or intubation", "adults with viral pneumonia")
        base = _of_card(model.card, model.sha256, severity_patient.reason_outside(patient, at), ())
        if base.reason is not None:
            return base
        row = severity_patient.features_of(patient, imaging, report, at)
        (modalities,) = severity_features.present(pd.DataFrame([row]))
        probability = float(model.probability(pd.DataFrame([row]))[0])
        return base.model_copy(
            update={
                "status": "ok",
                "probability": round(probability, 4),
                "modalities": tuple(_MODALITY_WORDS[name] for name in modalities),
                "inputs": tuple(
                    InputUsed(
                        name=item.key,
                        value=item.value,
                        unit=item.unit,
                        at=item.at,
                        evidence=Evidence(kind="record", reference=item.reference, detail=item.key),
                    )
                    for item in severity_patient.observed(patient, at)
                ),
                "missing": tuple(name for name in severity_features.COLUMNS if math.isnan(row[name])),
            }
        )

    def _not_served(self, name: str, title: str, population: str) -> RiskResult:
        status = self._statuses[name]
        return RiskResult(
            name=name,
            title=title,
            status="not_served",
            reason=status.reason,
            outcome=title[0].lower() + title[1:],
            population=population,
            model=name,
            model_version=status.version or "",
            sha256=status.sha256 or "",
        )


def _bound(model: PairedFindings, sha256: str) -> PairedFindings:
    """Return a model whose weights are those that the site has put into service."""
    if model.card.weights_sha256 != sha256:
        raise ModelVerificationError(f"{model.card.id}: the weights are not those that were put into service")
    return model


def _served(
    folder: Path, load: Callable[[Path], _Model], statuses: dict[str, ModelStatus], name: str | None = None
) -> _Model | None:
    """Return a model that is to be served, and note what became of it."""
    name = name or folder.name
    try:
        model = load(folder)
    except ModelError as error:
        statuses[name] = ModelStatus(id=name, state="refused", reason=str(error))
        return None
    statuses[name] = ModelStatus.of(model.card)
    return model if model.card.enabled else None


def _of_card(card: ModelCard, sha256: str, reason: str | None, modalities: tuple[str, ...]) -> RiskResult:
    return RiskResult(
        name=card.id,
        title=card.title,
        status="not_applicable",
        reason=reason,
        outcome=card.outcome,
        population=card.population,
        modalities=modalities,
        model=card.id,
        model_version=card.version,
        sha256=sha256,
    )


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
    (reasoned,) = model.reasons(stays)
    return base.model_copy(
        update={
            "status": "ok",
            "probability": round(reasoned.probability, 4),
            "contributions": intensive_care.in_words(reasoned.weights, reasoned.features),
            "inputs": used,
            "missing": absent,
        }
    )
