"""Whose a resource is: the one Patient that is meant, and whether another resource is about that patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusion.errors import NoPatientError, TwoPatientsError

_SUBJECTS = ("subject", "patient", "beneficiary")


def the_patient(resources: Sequence[Mapping[str, Any]], patient_id: str | None) -> Mapping[str, Any]:
    """Return the one Patient resource.

    Raises NoPatientError when there is none or it is not the one asked for, TwoPatientsError when there are two people.
    """
    patients = [resource for resource in resources if resource.get("resourceType") == "Patient"]
    if not patients:
        raise NoPatientError("no Patient resource; send the Patient with the rest")
    identifiers = {str(patient.get("id") or "") for patient in patients}
    anonymous = [patient for patient in patients if not patient.get("id")]
    if len(identifiers) > 1 or any(patient != anonymous[0] for patient in anonymous):
        raise TwoPatientsError(f"{len(patients)} Patient resources came together; send one patient at a time")
    if patient_id is not None and identifiers != {patient_id}:
        raise NoPatientError("the Patient resource is not the patient that the request names")
    return patients[0]


class Subject:
    """The patient that a record is about."""

    def __init__(self, patient: Mapping[str, Any]) -> None:
        self._id = str(patient.get("id") or "")
        self._identifiers = {entry["system"]: entry["value"] for entry in identifiers_of(patient)}

    def reason_not_about(self, resource: Mapping[str, Any]) -> str | None:
        """Return why a resource is not about this patient; one that names no patient is."""
        for name in _SUBJECTS:
            subject = resource.get(name)
            if isinstance(subject, dict):
                return self._reason(subject)
        return None

    def _reason(self, subject: Mapping[str, Any]) -> str | None:
        target = subject.get("reference")
        if isinstance(target, str):
            if target.startswith("#"):
                return "is about a person contained in it, who cannot be matched"
            parts = target.split("/_history/")[0].removeprefix("urn:uuid:").split("/")
            if len(parts) > 1 and parts[-2] != "Patient":
                return "is not about a patient"
            return None if parts[-1] == self._id else "is about another patient"
        for entry in identifiers_of({"identifier": [subject.get("identifier")]}):
            if self._identifiers.get(entry["system"], entry["value"]) != entry["value"]:
                return "is about another patient"
        return None


def identifiers_of(resource: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the identifiers of a resource that have system and value."""
    listed = resource.get("identifier")
    return [
        {"system": str(entry["system"]), "value": str(entry["value"])}
        for entry in (listed if isinstance(listed, list) else ())
        if isinstance(entry, Mapping) and entry.get("system") and entry.get("value")
    ]
