"""What the rules ask for, as follow-ups: by finding, by a category in the report, by a score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from fusion.assessment import RuleStatus, Severity, Suggestion
from fusion.findings import SeenFinding
from fusion.follow_ups.proposal import Proposal, follow_up_key
from fusion.rules import CompiledRule, Fired, RuleSet, Situation

_FINAL = frozenset({"final", "amended", "corrected"})
_FILM_ONLY = "seen on the film by the computer only; there is no final report yet"
_NEWS = timedelta(days=30)
_AT_MOST_WARNING: Mapping[Severity, Severity] = {"info": "info", "warning": "warning", "critical": "warning"}


def proposals_of(situation: Situation, rules: RuleSet) -> Iterator[Proposal | RuleStatus]:
    """Yield what triggered rules ask for, and what became of those that were triggered and say nothing."""
    seen = findings_to_follow(situation)
    looked_at: dict[str, CompiledRule] = {}
    for key in seen:
        for compiled in rules.by_finding.get(key, ()):
            looked_at[compiled.rule.id] = compiled
    for compiled in looked_at.values():
        yield from _of_findings(compiled, seen, situation)
    for compiled in rules.of_report_scores:
        report = situation.report
        if report is not None and report.report.scores.get(compiled.rule.trigger.report_score or "") is not None:
            yield from _outcome(compiled, situation, None, report.at, report.reference)
    for compiled in rules.of_scores:
        result = situation.scores.get(compiled.rule.trigger.score or "")
        if result is not None and result.status != "not_applicable":
            times = [used.at for used in result.inputs if used.at is not None and situation.at - used.at <= _NEWS]
            references = [used.evidence.reference for used in result.inputs if used.evidence is not None]
            own = [reference for reference in references if not reference.startswith("Patient/")]
            reference = next(iter(sorted(own)), f"Patient/{situation.patient.id}")
            yield from _outcome(compiled, situation, None, max(times, default=situation.at), reference)


def findings_to_follow(situation: Situation) -> dict[str, SeenFinding]:
    """Return what counts: the report's findings, and the film's as long as no final report has read it."""
    seen = {key: finding for key, finding in situation.said.items() if finding.assertion in ("present", "possible")}
    report = situation.report
    if report is None or report.status not in _FINAL:
        seen |= {key: finding for key, finding in situation.shown.items() if key not in situation.said}
    return seen


def _of_findings(
    compiled: CompiledRule, seen: Mapping[str, SeenFinding], situation: Situation
) -> Iterator[Proposal | RuleStatus]:
    """Yield the outcome of a rule on the first of its findings that fires, else the first status."""
    trigger = compiled.rule.trigger
    status: RuleStatus | None = None
    for key in trigger.finding:
        finding = seen.get(key)
        if finding is None or finding.assertion not in trigger.assertion:
            continue
        source = situation.report if finding.source == "report" else situation.film
        if source is None:
            continue
        for outcome in _outcome(compiled, situation.of_finding(finding), finding, source.at, source.reference):
            if isinstance(outcome, Proposal):
                yield outcome
                return
            status = status or outcome
    if status is not None:
        yield status


def _outcome(
    compiled: CompiledRule, situation: Situation, finding: SeenFinding | None, since: datetime, reference: str
) -> Iterator[Proposal | RuleStatus]:
    outcome = compiled.evaluate(situation)
    if isinstance(outcome, Fired):
        yield _proposal(compiled, outcome, finding, since, reference)
    elif outcome is not None:
        yield outcome


def _proposal(
    compiled: CompiledRule, fired: Fired, finding: SeenFinding | None, since: datetime, reference: str
) -> Proposal:
    rule = compiled.rule
    film_only = finding is not None and finding.source == "image"
    suggestions = tuple(
        Suggestion(
            orderable=step.orderable,
            text=step.text,
            urgency=step.urgency,
            due_from=None if step.due_days is None else since.date() + timedelta(days=step.due_days[0]),
            due_to=None if step.due_days is None else since.date() + timedelta(days=step.due_days[1]),
        )
        for step in rule.suggestions
    )
    window = rule.due_days or next((step.due_days for step in rule.suggestions if step.due_days is not None), None)
    return Proposal(
        key=follow_up_key(f"{rule.id}:{finding.key if finding else ''}", reference, ",".join(_steps(suggestions))),
        source="rule",
        rule_id=rule.id,
        rule_version=rule.version,
        finding=finding.key if finding else None,
        summary=rule.summary,
        detail=fired.detail,
        severity=_AT_MOST_WARNING[rule.severity] if film_only else rule.severity,
        suggestions=suggestions,
        due_from=None if window is None else since.date() + timedelta(days=window[0]),
        due_to=None if window is None else since.date() + timedelta(days=window[1]),
        citation=rule.citation,
        since=since,
        lapses_days=rule.lapses_days,
        reason=_FILM_ONLY if film_only else None,
        evidence=tuple(dict.fromkeys((finding.evidence if finding else ()) + fired.evidence)),
    )


def _steps(suggestions: tuple[Suggestion, ...]) -> list[str]:
    return [suggestion.orderable for suggestion in suggestions]
