"""Cards and their suggestions as CDS Hooks 2.0 has them, made of advice that was chosen before."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from cds.fhir import RequestFrame
from cds.hooks.services import Indicator
from cds.hooks.wording import escaped, plain
from cds.site.codes import OVERRIDE_REASONS, RULES, FindingCodes
from cds.site.orders import OrderTable
from fusion.assessment import Evidence, Suggestion

SOURCE_LABEL = "Roentgen CDS"
_LABEL_LIMIT = 80
_OVERRIDE_REASONS = {
    "already-done": "Already done or ordered elsewhere",
    "not-applicable": "Does not apply to this patient",
    "benefit-outweighs-risk": "Benefit outweighs the risk",
    "patient-declined": "Patient declined",
    "later": "Will be dealt with later",
    "disagree": "I disagree with the finding or rule",
}


@dataclass(frozen=True)
class Advice:
    """One thing that is worth a card.

    key        the same whenever the same is said of the same patient
    sections   lines of Markdown under a heading each, written by this program or escaped
    source     the guideline or the program; None means the program
    reason     why the suggestions are made, in words, where it is no finding
    remove     reference of the draft that is advised against
    replacing  orderables that are meant in place of that draft; the empty set with no suggestions: removing is advised
    again      False for what is said once an encounter
    """

    key: str
    rule_id: str
    rule_version: str
    indicator: Indicator
    summary: str
    sections: Mapping[str, tuple[str, ...]]
    source: str | None = None
    finding: str | None = None
    reason: str | None = None
    suggestions: tuple[Suggestion, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    due_from: date | None = None
    due_to: date | None = None
    remove: str | None = None
    replacing: frozenset[str] = frozenset()
    selection: Literal["any", "at-most-one"] = "any"
    overdue: bool = False
    again: bool = True
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CardMaker:
    """Turns advice into cards for one answer.

    launches  whether the EHR can launch the case page by SMART
    """

    orders: OrderTable
    codes: FindingCodes
    frame: RequestFrame
    base_url: str
    case_url: str | None
    launches: bool = False

    def card(self, advice: Advice) -> dict[str, Any]:
        """Return the card of an advice, with an id of its own."""
        made = [(suggestion, self._suggestion(suggestion, advice)) for suggestion in advice.suggestions]
        only_text = [suggestion for suggestion, coded in made if coded is None]
        suggestions = [coded for _, coded in made if coded is not None]
        if advice.remove is not None and not advice.suggestions:
            suggestions.append(_removal(advice.remove))
        if len(suggestions) == 1 and advice.selection == "at-most-one":
            suggestions[0]["isRecommended"] = True
        card: dict[str, Any] = {
            "uuid": str(uuid.uuid4()),
            "summary": plain(advice.summary),
            "indicator": advice.indicator,
            "detail": _detail(advice, only_text),
            "source": self._source(advice),
            "overrideReasons": [
                {"code": code, "system": OVERRIDE_REASONS, "display": display}
                for code, display in _OVERRIDE_REASONS.items()
            ],
        }
        if suggestions:
            card |= {"suggestions": suggestions, "selectionBehavior": advice.selection}
        if self.case_url:
            card["links"] = self._links(self.case_url)
        return card

    def _links(self, case_url: str) -> list[dict[str, Any]]:
        label = "Open the case: film and report"
        absolute = {"label": label, "url": case_url, "type": "absolute"}
        if not self.launches:
            return [absolute]
        context = case_url.rpartition("/")[2]
        smart = {"label": label, "url": f"{self.base_url}/smart/launch", "type": "smart", "appContext": context}
        return [smart, {**absolute, "label": f"{label} (with a login of its own)"}]

    def _suggestion(self, suggestion: Suggestion, advice: Advice) -> dict[str, Any] | None:
        request = self.orders.service_request(
            suggestion.orderable,
            self.frame,
            priority=suggestion.urgency,
            due_from=suggestion.due_from or advice.due_from,
            due_to=suggestion.due_to or advice.due_to,
            reason=self._reason(advice),
            reason_references=tuple(e.reference for e in advice.evidence if e.kind == "record")[:5],
            note=f"Suggested by {SOURCE_LABEL} ({advice.rule_id} {advice.rule_version})",
        )
        if request is None:
            return None
        text = plain(suggestion.text, _LABEL_LIMIT)
        actions: list[dict[str, Any]] = [{"type": "create", "description": f"Draft: {text}", "resource": request}]
        if advice.remove is not None and suggestion.orderable in advice.replacing:
            actions.append(_removing(advice.remove))
        return {"uuid": str(uuid.uuid4()), "label": text, "actions": actions}

    def _reason(self, advice: Advice) -> dict[str, Any] | None:
        if advice.finding:
            return self.codes.concept(advice.finding)
        return {"text": plain(advice.reason, 200)} if advice.reason else None

    def _source(self, advice: Advice) -> dict[str, Any]:
        topic = {"system": RULES, "code": advice.rule_id, "display": plain(advice.rule_id.replace("_", " "), 100)}
        if advice.source is None:
            return {"label": SOURCE_LABEL, "url": self.base_url, "topic": topic}
        return {"label": plain(advice.source, 120), "topic": topic}


def _removal(reference: str) -> dict[str, Any]:
    return {"uuid": str(uuid.uuid4()), "label": "Remove this order", "actions": [_removing(reference)]}


def _removing(reference: str) -> dict[str, Any]:
    return {"type": "delete", "description": "Remove the drafted order", "resourceId": reference}


def _detail(advice: Advice, only_text: list[Suggestion]) -> str:
    sections = dict(advice.sections)
    if only_text:
        sections["Suggested, not orderable from here"] = tuple(escaped(suggestion.text) for suggestion in only_text)
    parts = []
    for heading, lines in sections.items():
        body = "\n".join(f"- {line}" for line in lines) if heading else "\n\n".join(lines)
        parts.append(f"**{heading}**\n\n{body}" if heading else body)
    return "\n\n".join(part for part in parts if part)
