"""The CDS Hooks services: their hooks, what they ask to be sent beforehand, and how much they may say.

Prefetch templates keep to the restricted subset that every 2.0 client can answer: reads, searches by type with token
equality, `_sort` and `_count`; tokens are first-level fields of the context. Every service asks for the same: rules on
scores and findings need all of it, one assessment serves the case page whichever service was called last, and an EHR
answers equal templates once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cds import __version__
from cds.errors import ConfigurationError

Indicator = Literal["info", "warning", "critical"]
INDICATORS: Mapping[str, int] = {"critical": 0, "warning": 1, "info": 2}

_OF_PATIENT = "patient={{context.patientId}}"
_TEMPLATES: Mapping[str, str] = {
    "patient": "Patient/{{context.patientId}}",
    "encounter": "Encounter/{{context.encounterId}}",
    "conditions": f"Condition?{_OF_PATIENT}&_count=100",
    "medications": f"MedicationRequest?{_OF_PATIENT}&status=active&_count=60",
    "allergies": f"AllergyIntolerance?{_OF_PATIENT}&_count=50",
    "vitals": f"Observation?{_OF_PATIENT}&category=vital-signs&_sort=-date&_count=60",
    "laboratory": f"Observation?{_OF_PATIENT}&category=laboratory&_sort=-date&_count=100",
    "social": f"Observation?{_OF_PATIENT}&category=social-history&_sort=-date&_count=20",
    "orders": f"ServiceRequest?{_OF_PATIENT}&status=active&_sort=-authored&_count=50",
    "studies": f"ImagingStudy?{_OF_PATIENT}&_sort=-started&_count=30",
    "reports": f"DiagnosticReport?{_OF_PATIENT}&category=RAD&_sort=-date&_count=30",
    "procedures": f"Procedure?{_OF_PATIENT}&_sort=-date&_count=50",
}
_ROLES: Mapping[str, str] = {"roles": "PractitionerRole?practitioner={{userPractitionerId}}&_count=10"}
USER_TYPES = frozenset({"Practitioner", "PractitionerRole", "Patient", "RelatedPerson"})
REQUIRED = frozenset({"patient"})


class RoleSettings(BaseModel):
    """How much a service may say to some users, in place of what it says to all.

    users  types of resource (Practitioner, PractitionerRole, Patient, RelatedPerson), or codes of a PractitionerRole
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=64)
    users: tuple[str, ...] = Field(min_length=1)
    max_cards: int | None = Field(default=None, ge=0, le=20)
    minimum_indicator: Indicator | None = None


class ServiceSettings(BaseModel):
    """How much one service may say, as `configs/services.yaml` has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    enabled: bool = True
    silent: bool = False
    max_cards: int = Field(default=5, ge=1, le=20)
    minimum_indicator: Indicator = "info"
    risk_from: float = Field(default=0.1, ge=0, le=1)
    due_within_days: int = Field(default=30, ge=0, le=3650)
    roles: tuple[RoleSettings, ...] = ()

    def role_of(self, user: str, codes: Collection[str]) -> RoleSettings | None:
        """Return the first role that a user has: by the type of their resource, or a code of their PractitionerRole."""
        return next((role for role in self.roles if {user, *codes} & set(role.users)), None)


@dataclass(frozen=True)
class HookService:
    """One service, on one or more hooks."""

    id: str
    title: str
    description: str
    hooks: frozenset[str]
    prefetch: Mapping[str, str]
    settings: ServiceSettings


def _service(name: str, title: str, description: str, hooks: Iterable[str]) -> HookService:
    return HookService(name, title, description, frozenset(hooks), _TEMPLATES, ServiceSettings(id=name))


def _prefetch_of(settings: ServiceSettings) -> Mapping[str, str]:
    """Return the templates: the roles of the user only where the site tells roles apart by their codes."""
    by_code = any(user not in USER_TYPES for role in settings.roles for user in role.users)
    return {**_TEMPLATES, **_ROLES} if by_code else _TEMPLATES


SERVICES: tuple[HookService, ...] = (
    _service(
        "imaging-order-advisor",
        "Imaging order advisor",
        "Checks imaging orders against the record, the latest film and report: safety, duplicates, the better test.",
        ("order-select", "order-sign"),
    ),
    _service(
        "chest-imaging-risk",
        "Chest imaging and risk",
        "What the latest chest report and film say, the risks that follow, and what is due.",
        ("patient-view", "order-sign"),
    ),
    _service(
        "follow-up-tracker",
        "Imaging follow-up tracker",
        "Follow-ups of imaging findings that are due, overdue or not yet ordered.",
        ("patient-view", "encounter-discharge"),
    ),
)


def configured_services(entries: Iterable[Mapping[str, Any]]) -> dict[str, HookService]:
    """Return the services in force by id.

    entries  of services.yaml; a service without an entry is off

    Raises ConfigurationError naming the entry.
    """
    by_id = {service.id: service for service in SERVICES}
    found: dict[str, HookService] = {}
    for entry in entries:
        try:
            settings = ServiceSettings.model_validate(entry)
        except ValidationError as error:
            problem = error.errors(include_input=False)[0]
            place = ".".join(map(str, problem["loc"]))
            raise ConfigurationError(f"services.yaml: {entry.get('id')}: {place}: {problem['msg']}") from None
        if settings.id not in by_id:
            raise ConfigurationError(f"services.yaml: no service {settings.id!r}; known are {', '.join(by_id)}")
        found[settings.id] = replace(by_id[settings.id], settings=settings, prefetch=_prefetch_of(settings))
    return found


def discovery(services: Iterable[HookService]) -> dict[str, Any]:
    """Return the body of `GET /cds-services`: one entry per service and hook."""
    return {
        "services": [
            {
                "hook": hook,
                "id": service.id,
                "title": service.title,
                "description": service.description,
                "version": __version__,
                "prefetch": dict(service.prefetch),
                "usageRequirements": "Works best with access to a FHIR R4 API for what prefetch leaves out.",
            }
            for service in services
            for hook in sorted(service.hooks)
        ]
    }


def resolved(template: str, context: Mapping[str, str | None]) -> str | None:
    """Return a template with its tokens filled in, or None when the context lacks one.

    context  token ("context.patientId", "userPractitionerId") -> value
    """
    for name, value in context.items():
        token = "{{" + name + "}}"
        if token in template:
            if value is None:
                return None
            template = template.replace(token, value)
    return template
