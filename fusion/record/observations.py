"""One FHIR Observation -> dated values in canonical units, each with its reference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from fusion.assessment import Dropped
from fusion.facts import Observation
from fusion.record.codes import CODED_VALUES, RESULTED, codings_of, observation_key, texts_of
from fusion.record.times import effective
from fusion.record.units import BUN_TO_UREA, QUANTITIES, UnitError, converted

_USED_STATUS = {"final", "amended", "corrected", "preliminary"}
_OTHER = "other"
_ACVPU = {"alert": "A", "confus": "C", "voice": "V", "verbal": "V", "pain": "P", "unresponsive": "U"}
_UCUM_OF_LETTER = {"A", "C", "V", "P", "U"}


def observations_of(resource: Mapping[str, Any], reference: str) -> Iterator[Observation | Dropped]:
    """Yield the values of an Observation and of its components, and by name what could not be used."""
    status = resource.get("status")
    if status not in _USED_STATUS:
        if observation_key(resource.get("code")) or isinstance(resource.get("component"), list):
            yield Dropped(reference=reference, reason=f"status {str(status)[:20]!r} is not used")
        return
    at = effective(resource, "effectiveDateTime", "effectiveInstant", "effectivePeriod", "issued")
    parts = [resource]
    components = resource.get("component")
    parts += [part for part in components if isinstance(part, Mapping)] if isinstance(components, list) else []
    for part in parts:
        key = observation_key(part.get("code"))
        if key is None:
            continue
        if at is None:
            yield Dropped(reference=reference, reason=f"{key}: no time")
            continue
        yield from _values(key, part, at, reference)


def _values(key: str, part: Mapping[str, Any], at: datetime, reference: str) -> Iterator[Observation | Dropped]:
    if part.get("dataAbsentReason"):
        yield Dropped(reference=reference, reason=f"{key}: the record says that the value is absent")
        return
    if key == "mechanical_ventilation":
        yield Observation(key, True, at, reference)
        return
    if key in CODED_VALUES or key == "consciousness_acvpu":
        value = _coded(key, part) or (_OTHER if key in RESULTED and _has_value(part) else None)
        if value is not None:
            yield Observation(key, value, at, reference)
        else:
            yield Dropped(reference=reference, reason=f"{key}: the coded value is not one of those known")
        return
    quantity = part.get("valueQuantity")
    if quantity is None and isinstance(part.get("valueInteger"), int) and key == "glasgow_coma_scale":
        quantity = {"value": part["valueInteger"], "code": "{score}"}
    if not isinstance(quantity, dict):
        has_components = isinstance(part.get("component"), list)
        if not has_components:
            yield Dropped(reference=reference, reason=f"{key}: no valueQuantity")
        return
    yield from _quantity(key, quantity, at, reference)


def _has_value(part: Mapping[str, Any]) -> bool:
    return any(name.startswith("value") and value is not None for name, value in part.items())


def _quantity(key: str, quantity: Mapping[str, Any], at: datetime, reference: str) -> Iterator[Observation | Dropped]:
    number, unit = quantity.get("value"), quantity.get("code") or quantity.get("unit")
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        yield Dropped(reference=reference, reason=f"{key}: the value is not a number")
        return
    try:
        value = converted(key, float(number), unit if isinstance(unit, str) else None)
    except UnitError as error:
        yield Dropped(reference=reference, reason=f"{key}: {error}")
        return
    comparator = quantity.get("comparator")
    bound = str(comparator)[0] if comparator in ("<", "<=", ">", ">=") else None
    yield Observation(key, value, at, reference, QUANTITIES[key].unit, bound)
    yield from _derived(key, value, at, reference, bound)


def _derived(key: str, value: float, at: datetime, reference: str, bound: str | None) -> Iterator[Observation]:
    if key == "bun_mg_dl":
        yield Observation("urea_mmol_l", round(value * BUN_TO_UREA, 4), at, reference, "mmol/L", bound)
    elif key == "urea_mmol_l":
        yield Observation("bun_mg_dl", round(value / BUN_TO_UREA, 4), at, reference, "mg/dL", bound)
    elif key == "oxygen_flow_l_min":
        yield Observation("supplemental_oxygen", value > 0, at, reference)
    elif key == "fio2_percent":
        yield Observation("supplemental_oxygen", value > 21.5, at, reference)


def _coded(key: str, part: Mapping[str, Any]) -> str | None:
    concept = part.get("valueCodeableConcept")
    codes = [code for _, code in codings_of(concept)]
    if key == "consciousness_acvpu":
        words = [*codes, *texts_of(concept), str(part.get("valueString") or "")]
        letter = next((word for word in words if word in _UCUM_OF_LETTER), None)
        return letter or next((v for word in words for k, v in _ACVPU.items() if k in word.lower()), None)
    return next((CODED_VALUES[key][code] for code in codes if code in CODED_VALUES[key]), None)
