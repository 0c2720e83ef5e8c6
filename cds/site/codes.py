"""Keys -> codes of the standards, for everything that leaves the system.

Only codes that the tables carry are used: a finding without a verified code has the code of the project alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cds.site.configuration import FindingEntry

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RADLEX = "http://radlex.org"
FINDINGS = "urn:oid:2.25.24906617982019767274945495948105615169"
SCORES = "urn:oid:2.25.38104152817975713635538841937850220370"
RULES = "urn:oid:2.25.33706974669657116934418136221808368661"
AUDIT_ACTIONS = "urn:oid:2.25.243195764335435509822591920633499464946"
ROLES = "urn:oid:2.25.297044847221082156094380069586903300661"
PSEUDONYMS = "urn:oid:2.25.100337249556293999509555572344894049267"
OVERRIDE_REASONS = "urn:oid:2.25.193240629895990511505268524549084961880"


class FindingCodes:
    """The findings table seen from outside."""

    def __init__(self, findings: Mapping[str, FindingEntry]) -> None:
        self._findings = findings

    def display(self, key: str) -> str:
        """Return the name of a finding for people."""
        entry = self._findings.get(key)
        return entry.display if entry else key.replace("_", " ")

    def is_device(self, key: str) -> bool:
        """Whether a finding is a device, not a disease."""
        return key in self._findings and self._findings[key].group == "device"

    def concept(self, key: str) -> dict[str, Any]:
        """Return a CodeableConcept: SNOMED CT and RadLex where verified, and the key in the project's CodeSystem."""
        entry = self._findings.get(key)
        display = self.display(key)
        standard = [(SNOMED, entry.snomed), (RADLEX, entry.radlex)] if entry else []
        codings = [{"system": system, "code": code, "display": display} for system, code in standard if code]
        return {"coding": [*codings, {"system": FINDINGS, "code": key, "display": display}], "text": display}
