"""Order checks and follow-ups -> advice, with inputs, dates, source, uncertainty and citation in the detail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from cds.assessing.assessment import AssessedPatient
from cds.hooks.cards import Advice
from cds.hooks.services import INDICATORS, Indicator
from cds.hooks.wording import day, escaped, quoted, window
from fusion.assessment import Assessment, DraftOrder, Evidence, FollowUp, OrderCheck, Suggestion
from fusion.orderables import Orderable

IMAGING = frozenset({"XR", "CT", "MR", "US", "MG", "DXA", "PET", "NM", "RF"})
_MOST_EVIDENCE = 8
_MODALITY_NAMES = {"imaging": "film", "report": "report", "record": "record"}


def order_advice(assessed: AssessedPatient, orderables: Mapping[str, Orderable]) -> Iterator[Advice]:
    """Return what the order checks say of the drafts that are selected."""
    drafts = {draft.id: draft for draft in assessed.drafts}
    for check in assessed.assessment.order_checks:
        draft = drafts.get(check.order_id)
        if draft is None or not draft.selected:
            continue
        yield Advice(
            key=key_of(check.rule_id, draft.orderable or draft.id),
            rule_id=check.rule_id,
            rule_version=check.rule_version,
            indicator=check.severity,
            summary=check.summary,
            sections=_check_sections(check, assessed.assessment),
            source=check.citation,
            reason=draft.reason_text,
            suggestions=check.suggestions,
            evidence=check.evidence,
            remove=check.order_id if check.suggestions or _is_repeat(check) else None,
            replacing=frozenset(s.orderable for s in check.suggestions if _in_place(orderables, s.orderable, draft)),
            selection="at-most-one",
            models=models_of(assessed.assessment),
        )


def follow_up_advice(
    assessed: AssessedPatient, orderables: Mapping[str, Orderable], *, due_by: date | None
) -> Iterator[Advice]:
    """Return the follow-ups that are open and about which something can be done.

    due_by  what is due later is said once an encounter if it is grave, else not at all; None means all
    """
    for follow_up in assessed.assessment.follow_ups:
        if is_answered(follow_up) or (due_by is not None and not wants_attention(follow_up, due_by)):
            continue
        overdue = follow_up.action == "overdue"
        yield Advice(
            key=key_of(follow_up.rule_id, follow_up.key),
            rule_id=follow_up.rule_id,
            rule_version=follow_up.rule_version,
            indicator=raised(follow_up.severity) if overdue else follow_up.severity,
            summary=f"Overdue since {day(follow_up.due_to)}: {follow_up.summary}" if overdue else follow_up.summary,
            sections=_follow_up_sections(follow_up, assessed.assessment),
            source=follow_up.citation or None,
            finding=follow_up.finding,
            reason=follow_up.summary,
            suggestions=follow_up.suggestions or _usual_step(follow_up, orderables),
            evidence=follow_up.evidence,
            due_from=follow_up.due_from,
            due_to=follow_up.due_to,
            overdue=overdue,
            again=due_by is None or is_due(follow_up, due_by),
            models=models_of(assessed.assessment),
        )


def is_answered(follow_up: FollowUp) -> bool:
    """Whether nothing is left to do: closed, or ordered already and not overdue."""
    is_ordered = follow_up.reason is not None and not follow_up.suggestions
    return follow_up.action == "close" or (is_ordered and follow_up.action != "overdue")


def wants_attention(follow_up: FollowUp, by: date) -> bool:
    """Whether a follow-up is worth a word now: due by a day, or not to be forgotten however late it is due."""
    return is_due(follow_up, by) or follow_up.severity != "info"


def is_due(follow_up: FollowUp, by: date) -> bool:
    """Whether a follow-up is overdue, due by a day, or critical."""
    if follow_up.action == "overdue" or follow_up.severity == "critical":
        return True
    return follow_up.due_to is not None and follow_up.due_to <= by


def unresolved_advice(assessed: AssessedPatient) -> Iterator[Advice]:
    """Return the one thing a person must do when a film or report is near but could not be joined."""
    names = [
        _MODALITY_NAMES[modality.name]
        for modality in assessed.assessment.modalities
        if modality.status == "identity_unresolved"
    ]
    if names:
        what = " and ".join(names)
        yield Advice(
            key=key_of("identity_unresolved", what),
            rule_id="identity_unresolved",
            rule_version="1",
            indicator="info",
            summary=f"A chest {what} may belong to this patient but could not be matched, and was not used",
            sections={
                "": (
                    "Identifier, birth date or sex do not agree. Have the match resolved by the people who keep "
                    "patient identities; nothing of it stands in any card.",
                )
            },
            again=False,
        )


def key_of(*parts: str) -> str:
    """Return a short stable key for what a card says."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def raised(severity: Indicator) -> Indicator:
    return "warning" if severity == "info" else severity


def graver(first: Indicator, second: Indicator) -> Indicator:
    return first if INDICATORS[first] <= INDICATORS[second] else second


def models_of(assessment: Assessment) -> dict[str, str]:
    """Return the learned models that an assessment used, with their versions."""
    return {risk.model: risk.model_version for risk in assessment.risks if risk.status == "ok"}


def evidence_lines(evidence: Iterable[Evidence]) -> tuple[str, ...]:
    """Return what a statement rests on, one line each."""
    return tuple(dict.fromkeys(map(_evidence_line, evidence)))[:_MOST_EVIDENCE]


def _evidence_line(item: Evidence) -> str:
    if item.kind == "report":
        return f"report: {quoted(item.detail)}"
    if item.kind == "imaging":
        return f"film: {escaped(item.detail)}"
    return f"{escaped(item.detail)} ({escaped(item.reference, 80)})"


def not_used_lines(assessment: Assessment) -> tuple[str, ...]:
    """Return the modalities that the answer does without, and why."""
    return tuple(
        f"{_MODALITY_NAMES[modality.name]}: {modality.status.replace('_', ' ')}"
        + (f", {escaped(modality.detail, 120)}" if modality.detail else "")
        for modality in assessment.modalities
        if modality.status not in ("used", "preliminary")
    )


def _check_sections(check: OrderCheck, assessment: Assessment) -> dict[str, tuple[str, ...]]:
    return _filled(
        {
            "": (escaped(check.detail, 1200),),
            "Based on": evidence_lines(check.evidence),
            "Not used": not_used_lines(assessment),
            "Source": (_source_line(check),),
        }
    )


def _follow_up_sections(follow_up: FollowUp, assessment: Assessment) -> dict[str, tuple[str, ...]]:
    asked = "asked for by the radiologist" if follow_up.source == "radiologist" else "by rule"
    due = [f"{asked}, due {window(follow_up.due_from, follow_up.due_to)}"]
    if follow_up.conditional:
        due.append("only if the condition that the report names holds")
    if follow_up.reason:
        due.append(escaped(follow_up.reason))
    return _filled(
        {
            "Follow-up": tuple(due),
            "Based on": evidence_lines(follow_up.evidence),
            "Not used": not_used_lines(assessment),
            "Source": (_source_line(follow_up),),
        }
    )


def _source_line(item: FollowUp | OrderCheck) -> str:
    rule = f"rule {escaped(item.rule_id)} {escaped(item.rule_version)}".rstrip()
    return f"{escaped(item.citation)} ({rule})" if item.citation else rule


def _usual_step(follow_up: FollowUp, orderables: Mapping[str, Orderable]) -> tuple[Suggestion, ...]:
    """Return the first step of a follow-up that only the ledger still knows of, unless it is ordered already."""
    known = [orderables[key] for key in follow_up.orderables if key in orderables]
    if not known or follow_up.reason is not None:
        return ()
    return (Suggestion(orderable=known[0].key, text=known[0].display),)


def _filled(sections: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {heading: lines for heading, lines in sections.items() if any(lines)}


def _is_repeat(check: OrderCheck) -> bool:
    """Whether the check is against the order itself: a repeat of what was done or is ordered already."""
    return check.rule_id.startswith("duplicate")


def _in_place(orderables: Mapping[str, Orderable], key: str, draft: DraftOrder) -> bool:
    """Whether a suggested examination would be done in place of a drafted one: imaging of the same region."""
    suggested = orderables.get(key)
    return (
        suggested is not None
        and suggested.modality in IMAGING
        and draft.modality in IMAGING
        and suggested.region == draft.region
        and suggested.key != draft.orderable
    )
