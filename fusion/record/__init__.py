"""FHIR R4 resources -> `Patient`: tolerant of what records look like, strict about what a value means.

bundles.py       bundles, search pages and prefetch maps -> a flat list of resources; which types were searched for
codes.py         codes of observations, conditions, medications and allergies -> keys
units.py         UCUM units -> the canonical unit of a key; plausible ranges
observations.py  Observation -> dated values
subject.py       whose a resource is
reading.py       resources -> Patient, dropping by name what cannot be used
"""

from __future__ import annotations

from fusion.record.bundles import resources_of, searched_type, searched_types
from fusion.record.reading import read_patient

__all__ = ["read_patient", "resources_of", "searched_type", "searched_types"]
