"""ImagingResult -> FHIR R4 ImagingStudy, Observations and DiagnosticReport: what the model says, never as final.

The status is preliminary whatever the score: no person has looked. Knows no store and no web.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cds.site.codes import LOINC, FindingCodes
from vision import ImagingResult
from vision.result import Finding, Region

_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
DICOM_UID = "urn:dicom:uid"
_Json = dict[str, Any]


@dataclass(frozen=True)
class FilmFrame:
    """What the resources of a film say of whom, what and when.

    id       of the film: its report has the same, its observations begin with it
    study    id of the ImagingStudy
    subject  as a FHIR Reference
    """

    id: str
    study: str
    study_instance_uid: str
    subject: _Json
    taken_at: datetime
    stored_at: datetime
    accession: tuple[str | None, str] | None = None


def imaging_study(films: Sequence[FilmFrame]) -> _Json:
    """Return the ImagingStudy of the films of one study, at least one."""
    first = films[0]
    return {
        "resourceType": "ImagingStudy",
        "id": first.study,
        "identifier": [
            {"system": DICOM_UID, "value": f"urn:oid:{first.study_instance_uid}"},
            *_accession(first),
        ],
        "status": "available",
        "subject": first.subject,
        "started": min(film.taken_at for film in films).isoformat(),
        "numberOfInstances": len(films),
    }


def film_observations(result: ImagingResult, film: FilmFrame, codes: FindingCodes) -> list[_Json]:
    """Return one Observation per finding that was assessed; none for a film that was rejected."""
    return [_observation(finding, result.regions, film, codes) for finding in result.findings]


def film_report(result: ImagingResult, film: FilmFrame, codes: FindingCodes) -> _Json:
    """Return the preliminary DiagnosticReport of one film; of a rejected one it says why there is no number."""
    shown = [finding for finding in result.findings if finding.label]
    report = {
        "resourceType": "DiagnosticReport",
        "id": film.id,
        "identifier": _accession(film),
        "status": "preliminary",
        "category": [_concept(_SECTION, "RAD", "Radiology")],
        "code": _concept(LOINC, "18748-4", "Diagnostic imaging report"),
        "subject": film.subject,
        "effectiveDateTime": film.taken_at.isoformat(),
        "issued": film.stored_at.isoformat(),
        "result": [{"reference": f"Observation/{observation_id(film.id, f.key)}"} for f in result.findings],
        "imagingStudy": [{"reference": f"ImagingStudy/{film.study}"}],
        "conclusion": _conclusion(result, shown, codes),
        "conclusionCode": [codes.concept(finding.key) for finding in shown],
    }
    return {name: value for name, value in report.items() if value != []}


def observation_id(film_id: str, finding: str) -> str:
    """Return the id of the Observation of a finding of a film; FHIR ids have no underscores."""
    return f"{film_id}.{finding.replace('_', '-')}"


def _observation(finding: Finding, regions: Sequence[Region], film: FilmFrame, codes: FindingCodes) -> _Json:
    model = finding.model
    interpretation = {True: ("POS", "Positive"), False: ("NEG", "Negative"), None: ("IND", "Indeterminate")}
    places = [place for region in regions if region.finding == finding.key if (place := _place(region))]
    notes = ["Score of a model; no person has looked." if finding.probability is None else "Probability by a model."]
    if finding.threshold is not None:
        notes.append(f"Cut-off {finding.threshold:.3f}")
    observation = {
        "resourceType": "Observation",
        "id": observation_id(film.id, finding.key),
        "status": "preliminary",
        "category": [_concept(_CATEGORY, "imaging", "Imaging")],
        "code": codes.concept(finding.key),
        "subject": film.subject,
        "effectiveDateTime": film.taken_at.isoformat(),
        "issued": film.stored_at.isoformat(),
        "valueQuantity": {
            "value": finding.score if finding.probability is None else finding.probability,
            "unit": "score" if finding.probability is None else "probability",
            "system": "http://unitsofmeasure.org",
            "code": "1",
        },
        "interpretation": [_concept(_INTERPRETATION, *interpretation[finding.label])],
        "bodySite": {"text": "; ".join(dict.fromkeys(places))} if places else None,
        "method": {"text": f"{model.id} {model.version} (sha256 {model.sha256})"},
        "derivedFrom": [{"reference": f"ImagingStudy/{film.study}"}],
        "note": [{"text": note} for note in notes],
    }
    return {name: value for name, value in observation.items() if value is not None}


def _conclusion(result: ImagingResult, shown: Sequence[Finding], codes: FindingCodes) -> str:
    if result.rejection is not None:
        return f"Not analysed ({result.rejection.code}): {result.rejection.reason}"
    if not result.findings:
        why = next(iter(result.not_applicable.values()), "no model speaks of this film")
        return f"Nothing was assessed: {why}"
    if not shown:
        return "No assessed finding is above its cut-off. Not every finding is assessed; no person has looked."
    names = ", ".join(codes.display(finding.key) for finding in shown)
    return f"Above the cut-off: {names}. Output of a model; no person has looked."


def _place(region: Region) -> str:
    return " ".join(filter(None, (region.side, region.zone)))


def _accession(film: FilmFrame) -> list[_Json]:
    if film.accession is None:
        return []
    system, value = film.accession
    identifier = {"type": _concept(_IDENTIFIER_TYPE, "ACSN", "Accession ID"), "system": system, "value": value}
    return [{name: part for name, part in identifier.items() if part is not None}]


def _concept(system: str, code: str, display: str) -> _Json:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}
