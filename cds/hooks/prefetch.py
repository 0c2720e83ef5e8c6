"""What a call brought and what was fetched for it: one flat list of resources, and by name what is missing.

An absent key was not supplied, `null` means that there are no data, and an OperationOutcome that the client failed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cds.fhir import Issue
from cds.hooks.envelope import MOST_RESOURCES, HookCall
from cds.hooks.errors import MissingDataError
from cds.hooks.fetching import FhirFetcher, next_link
from cds.hooks.services import REQUIRED, HookService, resolved
from fusion import resources_of


@dataclass
class Record:
    """The resources of a call; `missing` names prefetch keys and why, `dropped` what was sent but not usable.

    searched  resource types of which everything was asked for and answered
    """

    resources: list[dict[str, Any]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    searched: frozenset[str] = frozenset()


async def gather(call: HookCall, service: HookService, fetcher: FhirFetcher) -> Record:
    """Return the record of a call, fetching what was not supplied where the call allows it.

    Raises MissingDataError when the patient was neither sent nor obtainable.
    """
    record, wanted = _read(call, service)
    if wanted and call.server is not None:
        token = call.request.authorization.access_token.get_secret_value() if call.request.authorization else None
        for key, fetched in (await fetcher.fetch(call.server, token, wanted)).items():
            name = key.removesuffix("+")
            if fetched.problem is None:
                record.missing.pop(name, None)
            else:
                record.missing[name] = fetched.problem
            _merge(record, name, fetched.resources)
    _keep_the_patient(record, call.context.patient_id)
    bundles = {key for key, value in (call.request.prefetch or {}).items() if _is_bundle(value)}
    record.searched = _searched(service.prefetch, (bundles | {*wanted}) - {*record.missing})
    return record


def _searched(templates: Mapping[str, str], answered: Collection[str]) -> frozenset[str]:
    """Return the types of which every search was answered; a null or a failure is no answer, an empty Bundle is."""
    kinds = {key: template.partition("?")[0] for key, template in templates.items() if "?" in template}
    return frozenset(kinds.values()) - {kind for key, kind in kinds.items() if key not in answered}


def role_codes(record: Record, user: str) -> frozenset[str]:
    """Return the codes of the user's PractitionerRoles in a record, and take them out: they are not of the patient.

    user  reference of the user, such as Practitioner/1
    """
    roles = [resource for resource in record.resources if resource["resourceType"] == "PractitionerRole"]
    record.resources = [resource for resource in record.resources if resource["resourceType"] != "PractitionerRole"]
    codes: set[str] = set()
    for role in roles:
        practitioner = role.get("practitioner")
        reference = practitioner.get("reference") if isinstance(practitioner, Mapping) else None
        if user in (reference, f"PractitionerRole/{role.get('id')}"):
            codes |= set(_codes_of(role.get("code")))
    return frozenset(codes)


def _codes_of(concepts: Any) -> Iterator[str]:
    for concept in concepts if isinstance(concepts, list) else ():
        codings = concept.get("coding") if isinstance(concept, Mapping) else None
        for coding in codings if isinstance(codings, list) else ():
            if isinstance(coding, Mapping) and isinstance(coding.get("code"), str):
                yield coding["code"]


def _read(call: HookCall, service: HookService) -> tuple[Record, dict[str, str]]:
    """Return what was sent, and the address of what is to be fetched: by key, "key+" for the rest of its pages."""
    record, wanted = Record(), {}
    sent = call.request.prefetch or {}
    context = {
        "context.patientId": call.context.patient_id,
        "context.encounterId": call.context.encounter_id,
        "userPractitionerId": call.context.practitioner_id,
    }
    for key, value in sent.items():
        reason = _unusable(value)
        if reason is not None:
            record.dropped[f"prefetch.{key}"[:120]] = reason
        elif value is not None:
            _merge(record, key, resources_of(value))
            link = next_link(value)
            if link is not None:
                record.missing[key] = "further_pages"
                wanted[f"{key}+"] = link
    for key, template in service.prefetch.items():
        address = resolved(template, context)
        is_there = key in sent and _unusable(sent[key]) is None and (sent[key] is not None or key not in REQUIRED)
        if address is not None and not is_there:
            record.missing[key] = "no_data" if key in sent and sent[key] is None else "not_supplied"
            wanted[key] = address
    return record, wanted


def _is_bundle(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("resourceType") == "Bundle"


def _unusable(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not isinstance(value.get("resourceType"), str):
        return "is not a FHIR resource"
    if value["resourceType"] == "OperationOutcome":
        return "the client sent an OperationOutcome in its place"
    return None


def _merge(record: Record, key: str, resources: list[dict[str, Any]]) -> None:
    room = MOST_RESOURCES - len(record.resources)
    outcomes = [r for r in resources if r["resourceType"] == "OperationOutcome"]
    record.resources += [r for r in resources if r["resourceType"] != "OperationOutcome"][:room]
    if any(_tells_of_failure(outcome) for outcome in outcomes):
        record.missing[key] = "partly_failed"
    if len(resources) > room:
        record.missing[key] = "too_many"


def _tells_of_failure(outcome: Mapping[str, Any]) -> bool:
    issues = outcome.get("issue")
    return isinstance(issues, list) and any(
        isinstance(issue, Mapping) and issue.get("severity") in ("error", "fatal") for issue in issues
    )


def _keep_the_patient(record: Record, patient_id: str) -> None:
    """Drop Patient resources of anyone else; without the patient of the context there is nothing to answer on."""
    kept: list[dict[str, Any]] = []
    has_patient = False
    for resource in record.resources:
        if resource["resourceType"] == "Patient" and resource.get("id") != patient_id:
            record.dropped[f"Patient/#{len(record.dropped)}"] = "is not the patient of the context"
            continue
        has_patient |= resource["resourceType"] == "Patient"
        kept.append(resource)
    record.resources = kept
    if not has_patient:
        reason = record.missing.get("patient", "it was sent for someone else")
        raise MissingDataError(
            Issue("not-found", f"the patient was neither sent nor obtainable ({reason})", "prefetch.patient")
        )
