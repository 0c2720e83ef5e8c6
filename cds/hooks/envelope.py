"""The request of a hook, checked: strict about the envelope, tolerant of the FHIR inside it.

CDS Hooks 2.0.1 and 3.0 ballot, "Calling a CDS Service"; contexts as of the hook library (patient-view 1.0, order-select
1.0, order-sign 1.1, encounter-discharge 1.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, from_json

from cds.fhir import Issue
from cds.hooks.errors import InvalidRequestError

MOST_RESOURCES = 5000


def _no_dots_alone(value: str) -> str:
    if not value.rpartition("/")[2].strip("."):
        raise ValueError("must not be dots alone")
    return value


_FhirId = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-._~]{1,255}$"), AfterValidator(_no_dots_alone)]
_UserId = Annotated[
    str, Field(pattern=r"^(Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9\-._~]{1,255}$")
]
_Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=2048)]


def text_only(value: Any) -> Any:
    """Refuse what is not a string, for types that would also take numbers."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Authorization(_Part):
    """Access to the FHIR server, for this request only: never kept, never logged."""

    access_token: SecretStr = Field(min_length=1)
    token_type: Literal["Bearer"]
    expires_in: int = Field(ge=0, strict=True)
    scope: str
    subject: str
    patient: str | None = None


class DraftBundle(_Part):
    """A Bundle of draft orders; entries without a resource are passed over."""

    resource_type: Literal["Bundle"] = Field(alias="resourceType")
    entry: list[Any] = Field(default=[], max_length=MOST_RESOURCES)

    @property
    def resources(self) -> list[dict[str, Any]]:
        found = [entry.get("resource") for entry in self.entry if isinstance(entry, Mapping)]
        return [resource for resource in found if isinstance(resource, dict)]


class Context(_Part):
    """What every hook that we answer tells."""

    user_id: _UserId = Field(alias="userId")
    patient_id: _FhirId = Field(alias="patientId")
    encounter_id: _FhirId | None = Field(default=None, alias="encounterId")

    @property
    def user_type(self) -> str:
        return self.user_id.partition("/")[0]

    @property
    def practitioner_id(self) -> str | None:
        return self.user_id.partition("/")[2] if self.user_type == "Practitioner" else None

    @property
    def drafts(self) -> list[dict[str, Any]]:
        return []

    @property
    def selected(self) -> list[str] | None:
        return None


class PatientViewContext(Context):
    """patient-view 1.0"""


class OrderSignContext(Context):
    """order-sign 1.1"""

    draft_orders: DraftBundle = Field(alias="draftOrders")

    @property
    def drafts(self) -> list[dict[str, Any]]:
        return self.draft_orders.resources


class OrderSelectContext(OrderSignContext):
    """order-select 1.0"""

    selections: list[str] = Field(max_length=MOST_RESOURCES)

    @property
    def selected(self) -> list[str] | None:
        return self.selections


class EncounterDischargeContext(Context):
    """encounter-discharge 1.0"""

    encounter_id: _FhirId = Field(alias="encounterId")


CONTEXTS: Mapping[str, type[Context]] = {
    "patient-view": PatientViewContext,
    "order-select": OrderSelectContext,
    "order-sign": OrderSignContext,
    "encounter-discharge": EncounterDischargeContext,
}


class HookRequest(_Part):
    """One call of one service. `prefetch` keeps the difference between an absent key and one that is null."""

    hook: str = Field(max_length=64)
    hook_instance: Annotated[UUID, BeforeValidator(text_only)] = Field(alias="hookInstance")
    fhir_server: _Url | None = Field(default=None, alias="fhirServer")
    authorization: Authorization | None = Field(default=None, alias="fhirAuthorization")
    context: dict[str, Any]
    prefetch: dict[str, Any] | None = None
    extension: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _authorization_has_a_server(self) -> HookRequest:
        if self.authorization is not None and self.fhir_server is None:
            raise ValueError("fhirAuthorization needs fhirServer")
        return self


class HookCall(_Part):
    """A request with the context of its hook."""

    request: HookRequest
    context: Context

    @property
    def server(self) -> str | None:
        return self.request.fhir_server.rstrip("/") if self.request.fhir_server else None


def read_call(body: bytes, hooks: frozenset[str]) -> HookCall:
    """Return the call in a body.

    hooks  those that the service answers

    Raises InvalidRequestError naming every path that is wrong.
    """
    document = read_object(body)
    request = _validated(HookRequest, document, ())
    if request.hook not in hooks:
        known = " or ".join(sorted(hooks))
        raise InvalidRequestError(Issue("not-supported", f"this service answers {known}", "hook"))
    return HookCall.model_construct(
        request=request, context=_validated(CONTEXTS[request.hook], request.context, ("context",))
    )


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; raises InvalidRequestError."""
    try:
        document = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        raise InvalidRequestError(Issue("structure", "the body is not JSON")) from None
    if not isinstance(document, dict):
        raise InvalidRequestError(Issue("structure", "the body is not a JSON object"))
    return document


_Model = TypeVar("_Model", bound=BaseModel)


def _validated(model: type[_Model], document: dict[str, Any], at: tuple[str, ...]) -> _Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False, include_context=False)
        raise InvalidRequestError(*(issue_of(detail, at) for detail in details[:20])) from None


def issue_of(detail: ErrorDetails, at: tuple[str, ...] = ()) -> Issue:
    """Return one pydantic error as an issue: path and reason, no value."""
    path = ""
    for step in (*at, *detail["loc"]):
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    code = "required" if detail["type"] == "missing" else "value"
    return Issue(code, detail["msg"].removeprefix("Value error, "), path[:200] or None)
