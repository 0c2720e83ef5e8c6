"""The overview of one patient: what the report and the film say (the report first), risks, scores and what is due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from cds.assessing.assessment import AssessedPatient
from cds.hooks.advisories import evidence_lines, graver, is_answered, key_of, models_of, not_used_lines, wants_attention
from cds.hooks.cards import Advice
from cds.hooks.services import Indicator
from cds.hooks.wording import day, escaped, listed, quoted, window
from cds.site.codes import FindingCodes
from fusion.assessment import Assessment, FindingView, FollowUp, Modality, RiskResult, ScoreResult

_SHOWN = ("present", "possible")
_MOST_LINES = 8
RULE_ID = "chest_overview"
RULE_VERSION = "1"


def overview_advice(
    assessed: AssessedPatient, codes: FindingCodes, *, risk_from: float, due_by: date
) -> Iterator[Advice]:
    """Return the overview when it holds a finding, a risk worth mentioning or something due; else nothing.

    risk_from  learned risks below this probability are left out
    """
    assessment = assessed.assessment
    followed = {follow_up.finding for follow_up in assessment.follow_ups}
    findings = [view for view in assessment.findings if is_positive(view)]
    findings.sort(key=lambda view: (view.key not in followed, codes.is_device(view.key)))
    risks = [risk for risk in assessment.risks if (risk.probability or 0) >= risk_from and risk.status == "ok"]
    due = [f for f in assessment.follow_ups if not is_answered(f) and wants_attention(f, due_by)]
    if not (findings or risks or due):
        return
    yield Advice(
        key=key_of(RULE_ID, *sorted(view.key for view in findings), *sorted(f.key for f in due)),
        rule_id=RULE_ID,
        rule_version=RULE_VERSION,
        indicator=_indicator(findings, due),
        summary=_summary(assessment, findings, risks, due, codes),
        sections=_sections(assessment, findings, risks, due, codes),
        models=models_of(assessment),
    )


def is_positive(view: FindingView) -> bool:
    """Whether report or film shows a finding; a final report that says absent is not overruled by a score alone."""
    return view.report_assertion in _SHOWN or view.image_label is True


def _indicator(findings: Iterable[FindingView], due: Iterable[FollowUp]) -> Indicator:
    worst: Indicator = "info"
    if any(view.agreement == "image_only" and view.image_label for view in findings):
        worst = "warning"
    for follow_up in due:
        worst = graver(worst, "warning" if follow_up.action == "overdue" else follow_up.severity)
        worst = graver(worst, follow_up.severity)
    return worst


def _summary(
    assessment: Assessment,
    findings: list[FindingView],
    risks: list[RiskResult],
    due: list[FollowUp],
    codes: FindingCodes,
) -> str:
    said = [codes.display(view.key).lower() for view in findings if view.report_assertion in _SHOWN]
    seen = [codes.display(view.key).lower() for view in findings if view.report_assertion not in _SHOWN]
    parts = []
    if said:
        parts.append(f"Report ({_report_status(assessment)}): {listed(said, 3)}")
    if seen:
        parts.append(f"film only: {listed(seen, 2)}")
    if due:
        overdue = sum(f.action == "overdue" for f in due)
        number, state = (overdue, "overdue") if overdue else (len(due), "due")
        parts.append(f"{number} follow-up{'s' if number > 1 else ''} {state}")
    if risks and len(parts) < 3:
        worst = max(risks, key=lambda risk: risk.probability or 0)
        parts.append(f"{worst.title} {_percent(worst.probability)}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def _sections(
    assessment: Assessment,
    findings: list[FindingView],
    risks: list[RiskResult],
    due: list[FollowUp],
    codes: FindingCodes,
) -> dict[str, tuple[str, ...]]:
    report, film = _modality(assessment, "report"), _modality(assessment, "imaging")
    sections = {
        f"Report, {_report_status(assessment)}, {day(report.at if report else None)}": [
            _report_line(view, codes) for view in findings if view.report_assertion in _SHOWN
        ],
        f"Film, {day(film.at if film else None)}": [
            _film_line(view, codes) for view in findings if view.image_score is not None
        ],
        "Risks": [_risk_line(risk) for risk in risks],
        "Scores": [_score_line(score) for score in assessment.scores if score.status != "not_applicable"],
        "Due": [_due_line(follow_up) for follow_up in due],
        "Not used": list(not_used_lines(assessment)),
    }
    return {heading: tuple(lines[:_MOST_LINES]) for heading, lines in sections.items() if lines}


def _report_line(view: FindingView, codes: FindingCodes) -> str:
    words = next((quoted(e.detail) for e in view.evidence if e.kind == "report"), "")
    return f"{escaped(codes.display(view.key))}: {view.report_assertion} {words}".rstrip()


def _film_line(view: FindingView, codes: FindingCodes) -> str:
    number = (
        f"probability {_percent(view.image_probability)}"
        if view.image_probability is not None
        else f"score {view.image_score:.2f} (not a probability at this site)"
    )
    cut_off = {True: "above the cut-off", False: "below the cut-off", None: "no cut-off"}[view.image_label]
    agreement = {
        "agree": "agrees with the report",
        "image_only": "not in the report",
        "report_only": "the report says otherwise",
        "not_comparable": "not compared",
    }[view.agreement]
    places = [e.detail.partition("(")[2].rstrip(")") for e in view.evidence if e.kind == "imaging"]
    where = next((f" in the {escaped(place, 120)}" for place in places if place), "")
    return f"{escaped(codes.display(view.key))}{where}: {number}, {cut_off}; {agreement}"


def _risk_line(risk: RiskResult) -> str:
    because = "; ".join(escaped(reason.text, 80) for reason in risk.contributions[:3])
    missing = _missing(risk.missing)
    used = f" from {escaped(listed(list(risk.modalities)))}" if risk.modalities else ""
    return (
        f"{escaped(risk.title)}: {_percent(risk.probability)} for {escaped(risk.outcome, 120)}{used}"
        + (f"; raised by {because}" if because else "")
        + f"{missing}; model {escaped(risk.model)} {escaped(risk.model_version)}, for {escaped(risk.population, 160)}"
    )


def _score_line(score: ScoreResult) -> str:
    value = " not decidable" if score.value in (None, {}) else f" {escaped(_value(score.value), 160)}"
    bounds = f" ({score.minimum} to {score.maximum} possible)" if score.minimum != score.maximum else ""
    band = f", {escaped(score.band)}" if score.band else ""
    missing = _missing(score.missing)
    dates = [used.at for used in score.inputs if used.at is not None]
    since = f"; inputs of {day(min(dates))} to {day(max(dates))}" if dates else ""
    source = f" ({escaped(score.citation, 160)})"
    return f"{escaped(score.title)}:{value}{bounds}{band}{missing}{since}{source}"


def _missing(names: tuple[str, ...]) -> str:
    return f"; missing: {escaped(listed([name.replace('_', ' ') for name in names]), 160)}" if names else ""


def _due_line(follow_up: FollowUp) -> str:
    mark = "overdue, " if follow_up.action == "overdue" else ""
    lines = evidence_lines(follow_up.evidence[:1])
    when = window(follow_up.due_from, follow_up.due_to)
    return f"{escaped(follow_up.summary)} ({mark}{when})" + (f" – {lines[0]}" if lines else "")


def _report_status(assessment: Assessment) -> str:
    status = next((view.report_status for view in assessment.findings if view.report_status), None)
    modality = _modality(assessment, "report")
    return status or ("preliminary" if modality and modality.status == "preliminary" else "none")


def _modality(assessment: Assessment, name: str) -> Modality | None:
    return next((modality for modality in assessment.modalities if modality.name == name), None)


def _percent(probability: float | None) -> str:
    return "–" if probability is None else f"{100 * probability:.0f} %"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return str(value)
