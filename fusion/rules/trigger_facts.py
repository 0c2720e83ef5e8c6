"""Facts of report, film, scores, and of the finding or drafted order that triggered a rule."""

from __future__ import annotations

from datetime import timedelta

from fusion.assessment import Evidence
from fusion.examinations import IMAGING_KINDS, Examination
from fusion.findings import NOT_STATED
from fusion.record.codes import ICD10, SNOMED, keys_of_code
from fusion.rules.record_facts import Find
from fusion.rules.situation import Known, Situation

_NEWEST = 3
_COUNTED = 100
"""Of how many examinations, the newest, a rule sees the times."""


def report_status(situation: Situation, _: timedelta | None) -> Known | None:
    report = situation.report
    return None if report is None else Known(report.status)


def report_modality(situation: Situation, _: timedelta | None) -> Known | None:
    report = situation.report
    return Known(NOT_STATED if report is None or report.modality is None else report.modality)


def report_score(name: str) -> Find:
    """Return the finder of an assessment category that the report states (BI-RADS, Lung-RADS)."""

    def find(situation: Situation, _: timedelta | None) -> Known | None:
        report = situation.report
        value = None if report is None else report.report.scores.get(name)
        if report is None or value is None:
            return None
        detail = f"{name.replace('_', '-').upper()} {value}"
        return Known(str(value).upper(), (Evidence(kind="report", reference=report.reference, detail=detail),))

    return find


def finding_present(key: str) -> Find:
    """Return the finder of whether the report asserts a finding or, where it is silent, the film shows it."""

    def find(situation: Situation, _: timedelta | None) -> Known | None:
        said = situation.said.get(key)
        if said is not None:
            return Known(said.assertion == "present", said.evidence)
        if key in situation.shown:
            return Known(True, situation.shown[key].evidence)
        return None if situation.report is None and situation.film is None else Known(False)

    return find


def finding_text(attribute: str) -> Find:
    """Return the finder of what is said of the finding that triggered the rule; "not_stated" where nothing is."""

    def find(situation: Situation, _: timedelta | None) -> Known | None:
        finding = situation.finding
        return None if finding is None else Known(str(getattr(finding, attribute)))

    return find


def finding_size(situation: Situation, _: timedelta | None) -> Known | None:
    finding = situation.finding
    return None if finding is None or finding.size_mm is None else Known(finding.size_mm, finding.evidence)


def score(name: str, attribute: str) -> Find:
    """Return the finder of a number or band of a score; missing inputs that leave it open make it missing."""

    def find(situation: Situation, _: timedelta | None) -> Known | None:
        result = situation.scores.get(name)
        if result is None or result.status == "not_applicable":
            return None
        value = getattr(result, attribute)
        if attribute == "value":
            value = value if result.status == "ok" else None
        if value is None:
            return None
        evidence = tuple(used.evidence for used in result.inputs if used.evidence is not None)
        return Known(str(value) if attribute == "band" else float(value), evidence)

    return find


def possible_results(name: str) -> Find:
    """Return the finder of the results that the missing inputs of a score leave possible, as words."""

    def find(situation: Situation, _: timedelta | None) -> Known | None:
        result = situation.scores.get(name)
        if result is None or result.status == "not_applicable":
            return None
        left = result.possible if result.possible is not None else (result.band,)
        evidence = tuple(used.evidence for used in result.inputs if used.evidence is not None)
        return Known([str(value) for value in left if value is not None], evidence)

    return find


def order_text(attribute: str) -> Find:
    """Return the finder of an attribute of the drafted order; "not_stated" where it has none."""

    def find(situation: Situation, _: timedelta | None) -> Known | None:
        order = situation.order
        return None if order is None else Known(str(getattr(order, attribute) or NOT_STATED))

    return find


def order_reason(situation: Situation, _: timedelta | None) -> Known | None:
    order = situation.order
    if order is None or not (order.reason_text or order.reason_codes):
        return None
    return Known(order.reason_text or "", (Evidence(kind="input", reference=order.id, detail="reason of the order"),))


def order_reason_conditions(situation: Situation, _: timedelta | None) -> Known | None:
    order = situation.order
    if order is None or not (order.reason_text or order.reason_codes):
        return None
    keys: set[str] = set()
    for code in order.reason_codes:
        given, _bar, value = code.rpartition("|")
        for system in (given,) if given else (SNOMED, ICD10[0]):
            keys |= keys_of_code(system, value)
    return Known(sorted(keys))


def same_exam_hours(situation: Situation, _: timedelta | None) -> Known | None:
    """Hours since the very same examination was ordered or done."""
    order = situation.order
    if order is None or order.orderable is None:
        return None
    found = [e for e in situation.examinations.exactly(order.orderable) if e.reference != order.id and e.at is not None]
    return _ages(situation, found, 24.0)


def same_region_days(situation: Situation, _: timedelta | None) -> Known | None:
    """Days since examinations of the same modality and region were done."""
    order = situation.order
    if order is None or order.modality is None or order.region is None:
        return None
    placed = situation.examinations.of_place(order.modality, order.region)
    return _ages(situation, [e for e in placed if e.status == "done" and e.at is not None], 1.0)


def follow_up_opens_in_days(situation: Situation, _: timedelta | None) -> Known | None:
    """Days until the window opens of each open follow-up that the drafted examination stands for."""
    order = situation.order
    if order is None or order.orderable is None:
        return None
    waits = [
        ((item.due_from - situation.at.date()).days, item)
        for item in situation.open_follow_ups
        if order.orderable in item.orderables and item.due_from is not None
    ]
    evidence = tuple(
        Evidence(kind="input", reference=item.key, detail=f"follow-up due from {item.due_from}") for _, item in waits
    )
    return Known([float(days) for days, _ in waits], evidence)


def chest_imaging_days_before(situation: Situation, _: timedelta | None) -> Known | None:
    """Days between the report or film and earlier imaging of the chest: the newest hundred, and the oldest."""
    source = situation.report or situation.film
    if source is None or not IMAGING_KINDS & situation.patient.kinds:
        return None
    earlier = [
        e
        for modality in ("XR", "CT")
        for e in situation.examinations.of_place(modality, "chest")
        if e.status == "done" and e.at is not None and e.at < source.at
    ]
    days = sorted(day for e in earlier if (day := e.days_before(source.at)) is not None and day >= 1)
    return Known(days[:_COUNTED] + days[_COUNTED:][-1:], tuple(_as_evidence(e) for e in earlier[:_NEWEST]))


def _ages(situation: Situation, found: list[Examination], per_day: float) -> Known | None:
    if not found and not IMAGING_KINDS & situation.patient.kinds:
        return None
    ages = [per_day * days for e in found[:_COUNTED] if (days := e.days_before(situation.at)) is not None]
    return Known(ages, tuple(_as_evidence(e) for e in found[:_NEWEST]))


def _as_evidence(examination: Examination) -> Evidence:
    when = f" on {examination.at.date().isoformat()}" if examination.at else ""
    detail = f"{examination.text or 'examination'} {examination.status}{when}"
    return Evidence(kind="record", reference=examination.reference, detail=detail)
