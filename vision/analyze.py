"""Radiograph -> ImagingResult: the gate, the model of the patient's population, and what it shows, where and how well.

What a film says it shows decides between the chest, with its models for adults and children, a limb and a breast.

A model that fails its verification is not served: its findings are not applicable, with the reason, and the rest goes
on. Knows no file and no patient record.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vision.anatomy import Anatomy
from vision.anatomy_card import AnatomyCard
from vision.card import ModelCard
from vision.cut_offs import CutOff, CutOffs
from vision.encode import Encoding
from vision.explain import FINE, heatmap, regions
from vision.findings import above_cut_off, findings_of, strength_of, to_show
from vision.gate import Verdict, without_network
from vision.measure import quality_of
from vision.measure_anatomy import measurements_of
from vision.places import PREFIX, InService, Place, anatomy_place, encoder_place, gate_place
from vision.radiograph import Radiograph
from vision.result import Embedding, ImagingResult, ModelRef, Population, Region
from vision.subject import MODEL_OF, Subject, subject_of
from vision.technique import Technique
from vision.zones import Lungs

MODELS = Path(__file__).parent / "models"
ADULT_FROM_YEARS = 18.0
EVERY_FINDING = "every_finding"
"""Stands in `not_applicable` for the findings of a model whose card cannot be read."""
OPACITY_FINDING = "lung_opacity"
_SIDES = {"L": "left", "R": "right"}
_POPULATIONS: tuple[Literal["adult", "paediatric"], ...] = ("adult", "paediatric")


class Analyzer:
    """The models of this package, loaded and verified once.

    threads     for inference
    prevalence  of findings at the site; a finding with one gets a probability beside its score
    cut_offs    of the site; one of another model is refused, see `cut_offs`
    in_service  models that the site has put into service in place of, or beside, those that ship switched on
    models      folder with gate, adult and paediatric

    One film at a time is in inference; films may be given from several threads.
    """

    def __init__(
        self,
        threads: int = 2,
        prevalence: Mapping[str, float] | None = None,
        *,
        cut_offs: Iterable[CutOff] = (),
        in_service: Iterable[InService] = (),
        models: Path = MODELS,
    ) -> None:
        wanted = {entry.id.removeprefix(PREFIX): entry for entry in in_service}
        self._prevalence = dict(prevalence or {})
        self._inference = threading.Lock()
        self._gate, self._gate_place = gate_place(models / "gate", threads)
        names = (*_POPULATIONS, *(name for name in MODEL_OF.values() if name in wanted or (models / name).is_dir()))
        self._anatomy, self._anatomy_place = anatomy_place(models / "anatomy", threads)
        self._places = {name: encoder_place(models / name, threads, wanted.get(name)) for name in names}
        self._cut_offs = CutOffs(cut_offs, [place.encoder.card for place in self._places.values() if place.encoder])

    def status(self) -> list[dict[str, Any]]:
        """Return one row per model: id, version, sha256, state (served, off, refused) and the reason."""
        return [place.row() for place in (self._gate_place, *self._places.values(), self._anatomy_place)]

    def cut_offs(self) -> list[dict[str, Any]]:
        """Return one row per cut-off of the site: finding, model, state (in force, refused) and the reason."""
        return self._cut_offs.status()

    def analyze(self, radiograph: Radiograph, technique: Technique | None = None, *, at: datetime) -> ImagingResult:
        """Return everything the models say about one radiograph.

        technique  what is known beside the film's header; the header wins
        at         the time of analysis, kept in the result
        """
        technique = technique or Technique()
        population, source = population_of(radiograph, technique)
        subject = subject_of(radiograph, technique)
        verdict = self._judged(radiograph, technique, subject)
        result = ImagingResult(
            rejection=verdict.rejection,
            view=verdict.view,
            view_source=verdict.view_source,
            population=population,
            population_source=source,
            quality=_quality(radiograph, verdict),
            models=tuple(filter(None, [self._gate_place.ref])),
            image_sha256=radiograph.sha256,
            rows=radiograph.rows,
            columns=radiograph.columns,
            analysed_at=at,
        )
        return result if verdict.rejection is not None else self._assessed(result, radiograph, technique, subject)

    def _judged(self, radiograph: Radiograph, technique: Technique, subject: Subject) -> Verdict:
        other = self._places.get(MODEL_OF.get(subject, ""))
        if self._gate is None or (other is not None and other.encoder is None):
            return _with_reason(without_network(radiograph, technique), other)
        with self._inference:
            if other is None:
                return self._gate.judge(radiograph, technique)
            return self._gate.judge_other(radiograph, technique, subject)

    def _assessed(
        self, result: ImagingResult, radiograph: Radiograph, technique: Technique, subject: Subject
    ) -> ImagingResult:
        anatomy = self._outlined(result, radiograph, technique) if subject == "chest" else None
        if anatomy is not None:
            result = result.model_copy(update=self._shaped(anatomy, result, radiograph))
        name = MODEL_OF.get(subject, result.population)
        place, why = self._model_for(name, result.population, _age(radiograph, technique))
        if place is None or place.encoder is None or place.ref is None:
            not_applicable = dict.fromkeys(self._labels(name) or (EVERY_FINDING,), why)
            return result.model_copy(update={"not_applicable": not_applicable})
        with self._inference:
            encoding = place.encoder.encode(radiograph.pixels, None if anatomy is None else anatomy.lung_box(0.0))
        return result.model_copy(
            update=self._said(encoding, place.encoder.card, place.ref, radiograph, result, anatomy)
        )

    def _outlined(self, result: ImagingResult, radiograph: Radiograph, technique: Technique) -> Anatomy:
        """Return lungs and heart of a chest film, or why there are none."""
        if self._anatomy is None or self._gate is None:
            return Anatomy({}, "no model that outlines heart and lungs is in service")
        outside = outside_of(self._anatomy.card, _age(radiograph, technique), result.population)
        if outside is not None:
            return Anatomy({}, outside)
        with self._inference:
            return self._anatomy.anatomy(radiograph.pixels, radiograph.patient_orientation)

    def _shaped(self, anatomy: Anatomy, result: ImagingResult, radiograph: Radiograph) -> dict[str, Any]:
        """Return what the shapes alone say of a film."""
        shaped = {"measurements": measurements_of(anatomy, radiograph, result.view, result.population, None)}
        if self._anatomy is None or not anatomy.lungs:
            return shaped
        return {
            **shaped,
            "masks": anatomy.masks(self._anatomy.ref),
            "quality": {**result.quality, "lungs_cut_off": anatomy.cut_off},
            "models": (*result.models, self._anatomy.ref),
        }

    def _said(
        self,
        encoding: Encoding,
        card: ModelCard,
        ref: ModelRef,
        radiograph: Radiograph,
        result: ImagingResult,
        anatomy: Anatomy | None,
    ) -> dict[str, Any]:
        findings = findings_of(encoding, card, ref, self._prevalence, self._cut_offs.of(card, radiograph))
        shown = [(finding.key, encoding.maps[finding.key], strength_of(finding)) for finding in to_show(findings)]
        lungs = None if anatomy is None else Lungs.of(anatomy, FINE)
        said = {
            "findings": findings,
            "regions": tuple(spot for each in shown for spot in _regions(*each, card, radiograph, lungs)),
            "heatmaps": tuple(heatmap(*each) for each in shown),
            "embedding": Embedding(model=ref, values=tuple(float(value) for value in encoding.embedding)),
            "models": (*result.models, ref),
        }
        if anatomy is None:
            return said
        opacity = above_cut_off(OPACITY_FINDING, encoding, card, findings)
        return {
            **said,
            "measurements": measurements_of(anatomy, radiograph, result.view, result.population, opacity),
        }

    def _model_for(self, name: str, population: Population, age: float | None) -> tuple[Place | None, str]:
        """Return the model of a name, or why it does not speak of a film."""
        if self._gate is None:
            return None, f"it is not certain that this is a chest film: {self._gate_place.reason}"
        if name == "unknown":
            return None, "the age is not known, so neither the adult nor the paediatric model applies"
        place = self._places[name]
        if place.encoder is None:
            return None, f"the {name} model is not in service: {place.reason}"
        outside = outside_of(place.encoder.card, age, population)
        return (None, outside) if outside is not None else (place, "")

    def _labels(self, name: str) -> tuple[str, ...]:
        names = _POPULATIONS if name == "unknown" else (name,)
        return tuple(label for each in names for label in self._places[each].labels)


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


def outside_of(card: ModelCard | AnatomyCard, age: float | None, population: Population) -> str | None:
    """Return why a model is not for an age; None when it is, or when an adult was assumed."""
    ages = card.population
    every_age = ages.age_from == 0 and ages.age_to is None
    if every_age or (age is None and population != "unknown"):
        return None
    if age is None:
        return f"the age is not known, so the {ages.name} model does not apply"
    if age >= ages.age_from and (ages.age_to is None or age < ages.age_to):
        return None
    upper = "and older" if ages.age_to is None else f"to under {ages.age_to:g}"
    return f"the {ages.name} model knows patients of {ages.age_from:g} {upper} years only"


def _age(radiograph: Radiograph, technique: Technique) -> float | None:
    return technique.age_years if radiograph.age_years is None else radiograph.age_years


def _quality(radiograph: Radiograph, verdict: Verdict) -> dict[str, float | bool | str | None]:
    sight = verdict.sight
    seen = {} if sight is None else {"chest": round(sight.kinds["chest"], 4), "distance": round(sight.distance, 4)}
    return {**quality_of(radiograph), **seen}


def _with_reason(verdict: Verdict, other: Place | None) -> Verdict:
    """Say of a film that another model would speak of why it does not."""
    if verdict.rejection is None or other is None:
        return verdict
    reason = f"{verdict.rejection.reason}; the {other.name} model is not in service: {other.reason}"
    return replace(verdict, rejection=verdict.rejection.model_copy(update={"reason": reason}))


def _regions(
    key: str, logits: NDArray[np.float32], strength: float, card: ModelCard, film: Radiograph, lungs: Lungs | None
) -> tuple[Region, ...]:
    """Return the places a finding rests on; sides of the film and zones are those of lungs, on other films it is one
    side that the header names."""
    found = regions(key, logits, film.patient_orientation, strength, lungs)
    if card.population.name in _POPULATIONS:
        return found
    side = _SIDES.get(film.laterality or "")
    return tuple(region.model_copy(update={"side": side, "zone": None}) for region in found)
