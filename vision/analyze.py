"""Radiograph -> ImagingResult: the gate, the model of the patient's population, and what it shows, where and how well.

A model that fails its verification is not served: its findings are not applicable, with the reason, and the rest goes
on. Knows no file and no patient record.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from vision.card import ModelCard, read_card
from vision.encode import Encoder, Encoding
from vision.errors import ModelVerificationError
from vision.explain import heatmap, regions
from vision.findings import findings_of, strength_of, to_show
from vision.gate import Gate, Verdict, without_network
from vision.measure import CARDIOTHORACIC_RATIO, quality_of
from vision.radiograph import Radiograph
from vision.result import Embedding, ImagingResult, ModelRef, Population
from vision.technique import Technique

MODELS = Path(__file__).parent / "models"
ADULT_FROM_YEARS = 18.0
EVERY_FINDING = "every_finding"
"""Stands in `not_applicable` for the findings of a model whose card cannot be read."""
_POPULATIONS: tuple[Literal["adult", "paediatric"], ...] = ("adult", "paediatric")


@dataclass(frozen=True)
class _Place:
    """A model folder: what is in service of it, or why nothing is."""

    name: str
    state: Literal["served", "off", "refused"]
    reason: str | None = None
    ref: ModelRef | None = None
    labels: tuple[str, ...] = ()
    encoder: Encoder | None = None


class Analyzer:
    """The models of this package, loaded and verified once.

    threads     for inference
    prevalence  of findings at the site; a finding with one gets a probability beside its score
    models      folder with gate, adult and paediatric

    One film at a time is in inference; films may be given from several threads.
    """

    def __init__(
        self, threads: int = 2, prevalence: Mapping[str, float] | None = None, *, models: Path = MODELS
    ) -> None:
        self._prevalence = dict(prevalence or {})
        self._inference = threading.Lock()
        self._gate, self._gate_place = _load_gate(models / "gate", threads)
        self._places = {name: _load_encoder(models / name, threads) for name in _POPULATIONS}

    def status(self) -> list[dict[str, Any]]:
        """Return one row per model: id, version, sha256, state (served, off, refused) and the reason."""
        return [_row(place) for place in (self._gate_place, *self._places.values())]

    def analyze(self, radiograph: Radiograph, technique: Technique | None = None, *, at: datetime) -> ImagingResult:
        """Return everything the models say about one radiograph.

        technique  what is known beside the film's header; the header wins
        at         the time of analysis, kept in the result
        """
        technique = technique or Technique()
        population, source = population_of(radiograph, technique)
        verdict = self._judged(radiograph, technique)
        result = ImagingResult(
            rejection=verdict.rejection,
            view=verdict.view,
            view_source=verdict.view_source,
            population=population,
            population_source=source,
            quality=_quality(radiograph, verdict),
            models=tuple(filter(None, [self._gate_place.ref])),
            image_sha256=radiograph.sha256,
            analysed_at=at,
        )
        return result if verdict.rejection is not None else self._assessed(result, radiograph, technique)

    def _judged(self, radiograph: Radiograph, technique: Technique) -> Verdict:
        if self._gate is None:
            return without_network(radiograph, technique)
        with self._inference:
            return self._gate.judge(radiograph, technique)

    def _assessed(self, result: ImagingResult, radiograph: Radiograph, technique: Technique) -> ImagingResult:
        place, why = self._model_for(result.population, _age(radiograph, technique))
        if place is None or place.encoder is None or place.ref is None:
            return result.model_copy(
                update={
                    "not_applicable": dict.fromkeys(self._labels(result.population) or (EVERY_FINDING,), why),
                    "measurements": (CARDIOTHORACIC_RATIO,),
                }
            )
        with self._inference:
            encoding = place.encoder.encode(radiograph.pixels)
        return result.model_copy(update=self._said(encoding, place.encoder.card, place.ref, radiograph))

    def _said(self, encoding: Encoding, card: ModelCard, ref: ModelRef, radiograph: Radiograph) -> dict[str, Any]:
        findings = findings_of(encoding, card, ref, self._prevalence)
        orientation = radiograph.patient_orientation
        shown = [(finding.key, encoding.maps[finding.key], strength_of(finding)) for finding in to_show(findings)]
        return {
            "findings": findings,
            "measurements": (CARDIOTHORACIC_RATIO,),
            "regions": tuple(
                spot for key, logits, strength in shown for spot in regions(key, logits, orientation, strength)
            ),
            "heatmaps": tuple(heatmap(*each) for each in shown),
            "embedding": Embedding(model=ref, values=tuple(float(value) for value in encoding.embedding)),
            "models": tuple(filter(None, [self._gate_place.ref, ref])),
        }

    def _model_for(self, population: Population, age: float | None) -> tuple[_Place | None, str]:
        """Return the model of a population, or why there is none."""
        if self._gate is None:
            return None, f"it is not certain that this is a chest film: {self._gate_place.reason}"
        if population == "unknown":
            return None, "the age is not known, so neither the adult nor the paediatric model applies"
        place = self._places[population]
        if place.encoder is None:
            return None, f"the {population} model is not in service: {place.reason}"
        outside = outside_of(place.encoder.card, age)
        return (None, outside) if outside is not None else (place, "")

    def _labels(self, population: Population) -> tuple[str, ...]:
        places = self._places.values() if population == "unknown" else [self._places[population]]
        return tuple(label for place in places for label in place.labels)


def population_of(
    radiograph: Radiograph, technique: Technique
) -> tuple[Population, Literal["header", "given", "assumed", "none"]]:
    """Return the population by age, and who says so; an adult is assumed only for a film without any metadata."""
    if radiograph.age_years is not None:
        return _by_age(radiograph.age_years), "header"
    if technique.age_years is not None:
        return _by_age(technique.age_years), "given"
    if technique.assume_adult and not radiograph.has_metadata:
        return "adult", "assumed"
    return "unknown", "none"


def _by_age(years: float) -> Population:
    return "adult" if years >= ADULT_FROM_YEARS else "paediatric"


def outside_of(card: ModelCard, age: float | None) -> str | None:
    """Return why a model is not for an age; None when it is, or when an adult was assumed."""
    ages = card.population
    if age is None or (age >= ages.age_from and (ages.age_to is None or age < ages.age_to)):
        return None
    upper = "and older" if ages.age_to is None else f"to under {ages.age_to:g}"
    return f"the {ages.name} model knows patients of {ages.age_from:g} {upper} years only"


def _age(radiograph: Radiograph, technique: Technique) -> float | None:
    return technique.age_years if radiograph.age_years is None else radiograph.age_years


def _quality(radiograph: Radiograph, verdict: Verdict) -> dict[str, float | bool | str | None]:
    sight = verdict.sight
    seen = {} if sight is None else {"chest": round(sight.kinds["chest"], 4), "distance": round(sight.distance, 4)}
    return {**quality_of(radiograph), **seen}


def _load_gate(folder: Path, threads: int) -> tuple[Gate | None, _Place]:
    try:
        gate = Gate.load(folder, threads)
    except ModelVerificationError as error:
        return None, _Place("gate", "refused", str(error))
    return gate, _Place("gate", "served", ref=gate.ref)


def _load_encoder(folder: Path, threads: int) -> _Place:
    try:
        card = read_card(folder)
    except ModelVerificationError as error:
        return _Place(folder.name, "refused", str(error))
    ref, labels = ModelRef(id=card.id, version=card.version, sha256=card.sha256), tuple(card.served)
    if not labels:
        return _Place(folder.name, "off", "its card allows no finding to be served", ref)
    try:
        encoder = Encoder.load(folder, threads)
    except ModelVerificationError as error:
        return _Place(folder.name, "refused", str(error), ref, labels)
    return _Place(folder.name, "served", None, ref, labels, encoder)


def _row(place: _Place) -> dict[str, Any]:
    ref = place.ref
    return {
        "id": place.name if ref is None else ref.id,
        "version": None if ref is None else ref.version,
        "sha256": None if ref is None else ref.sha256,
        "state": place.state,
        "reason": place.reason,
    }
