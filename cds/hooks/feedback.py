"""What became of cards: the feedback of a client, checked."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from cds.hooks.envelope import issue_of, read_object, text_only
from cds.hooks.errors import InvalidRequestError
from cds.store.cards import Feedback

_MOST_ITEMS = 200
_LONGEST_COMMENT = 4000


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _AcceptedSuggestion(_Part):
    id: str = Field(min_length=1, max_length=64)


class _Reason(_Part):
    code: str = Field(min_length=1, max_length=255)
    system: str | None = Field(default=None, max_length=255)
    display: str | None = Field(default=None, max_length=255)


class _OverrideReason(_Part):
    reason: _Reason | None = None
    user_comment: str | None = Field(default=None, alias="userComment", max_length=_LONGEST_COMMENT)


class FeedbackItem(_Part):
    """One outcome of one card."""

    card: Annotated[UUID, BeforeValidator(text_only)]
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: Annotated[AwareDatetime, BeforeValidator(text_only)] = Field(alias="outcomeTimestamp")
    accepted_suggestions: list[_AcceptedSuggestion] | None = Field(
        default=None, alias="acceptedSuggestions", max_length=50
    )
    override_reason: _OverrideReason | None = Field(default=None, alias="overrideReason")

    @model_validator(mode="after")
    def _accepted_says_what(self) -> FeedbackItem:
        if self.outcome == "accepted" and not self.accepted_suggestions:
            raise ValueError("an accepted card carries acceptedSuggestions")
        return self


class _FeedbackList(_Part):
    feedback: list[FeedbackItem] = Field(min_length=1, max_length=_MOST_ITEMS)


def read_feedback(body: bytes) -> list[Feedback]:
    """Return the feedback in a body; all of it is right, or InvalidRequestError names what is not."""
    try:
        items = _FeedbackList.model_validate(read_object(body)).feedback
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False, include_context=False)
        raise InvalidRequestError(*(issue_of(detail) for detail in details[:20])) from None
    return [
        Feedback(str(item.card), item.outcome, item.outcome_timestamp.astimezone(UTC), _detail(item)) for item in items
    ]


def _detail(item: FeedbackItem) -> dict[str, Any]:
    if item.outcome == "accepted":
        return {"accepted_suggestions": [suggestion.id for suggestion in item.accepted_suggestions or ()]}
    return item.override_reason.model_dump(exclude_none=True) if item.override_reason else {}
