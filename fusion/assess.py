"""Patient, film, report and drafts -> one assessment. Nothing heavy: what was computed on arrival is joined here.

A modality that is missing, too old, rejected or of unresolved identity is not used, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fusion.assessment import Assessment, DraftOrder, FindingView, Modality, OpenFollowUp
from fusion.examinations import Examinations
from fusion.facts import Patient
from fusion.findings import finding_views, findings_said, findings_shown
from fusion.follow_ups import follow_ups_of
from fusion.modalities import ImagingInput, ReportInput
from fusion.order_checks import order_checks_of
from fusion.orderables import Orderable
from fusion.risks import RiskModels
from fusion.rules import RuleSet, Situation
from fusion.scores import assess_scores
from fusion.scores.filling import Facts


@dataclass(frozen=True)
class Freshness:
    """How old a film and a report may be to say something of the patient now.

    An older report still asks for its follow-ups; its findings no longer enter scores and risks.
    """

    film: timedelta = timedelta(days=30)
    report: timedelta = timedelta(days=30)


def assess(
    patient: Patient,
    *,
    at: datetime,
    rules: RuleSet,
    risks: RiskModels,
    imaging: ImagingInput | None = None,
    report: ReportInput | None = None,
    orders: Sequence[DraftOrder] = (),
    open_follow_ups: Sequence[OpenFollowUp] = (),
    orderables: Mapping[str, Orderable] | None = None,
    freshness: Freshness = Freshness(),
) -> Assessment:
    """Return everything that follows for one patient at one time.

    imaging, report  the latest that may be used; None when there is none
    orders           drafted orders, mapped to orderable keys by the caller
    open_follow_ups  the ledger of this patient
    orderables       the hospital's table; without it, earlier examinations cannot be recognised
    """
    film_used = _film_used(imaging, at, freshness)
    report_used = report if report is not None and report.usable else None
    current = report_used if report_used is not None and at - report_used.at <= freshness.report else None
    scores = assess_scores(patient, film_used, current, at, [o.orderable for o in orders if o.orderable and o.selected])
    situation = Situation(
        facts=Facts(patient, film_used, report_used, at),
        examinations=Examinations(patient, orderables or {}),
        scores={score.name: score for score in scores},
        said=findings_said(report_used),
        shown=findings_shown(film_used),
        open_follow_ups=open_follow_ups,
    )
    follow_ups, of_follow_ups = follow_ups_of(situation, rules, open_follow_ups)
    checks, of_orders = order_checks_of(situation, rules, orders)
    return Assessment(
        at=at,
        modalities=(
            _imaging_modality(imaging, at, freshness),
            _report_modality(report, at, freshness),
            _record_modality(patient),
        ),
        scores=scores,
        risks=risks.assess(patient, film_used, current, at),
        findings=_joined(finding_views(report_used, film_used), risks, report_used),
        follow_ups=follow_ups,
        order_checks=checks,
        rules=tuple(dict.fromkeys(of_follow_ups + of_orders)),
        dropped=patient.dropped,
    )


def _joined(views: tuple[FindingView, ...], risks: RiskModels, report: ReportInput | None) -> tuple[FindingView, ...]:
    """Return the views, joined by the site's model where one is in service; a CT report says nothing of the film."""
    model = risks.findings
    if model is None:
        return views
    reported = report is not None and report.modality in (None, "XR")
    return tuple(model.joined(view, reported=reported) for view in views)


def _film_used(imaging: ImagingInput | None, at: datetime, freshness: Freshness) -> ImagingInput | None:
    if imaging is None or not imaging.usable or at - imaging.at > freshness.film:
        return None
    return imaging


def _imaging_modality(imaging: ImagingInput | None, at: datetime, freshness: Freshness) -> Modality:
    if imaging is None:
        return Modality(name="imaging", status="missing")
    if imaging.status == "identity_unresolved":
        return Modality(name="imaging", status="identity_unresolved", detail="a person has to say whose it is")
    if imaging.result.rejection is not None:
        return Modality(name="imaging", status="rejected", detail=imaging.result.rejection.reason, at=imaging.at)
    if at - imaging.at > freshness.film:
        detail = f"older than {freshness.film.days} days; not used"
        return Modality(name="imaging", status="stale", detail=detail, at=imaging.at)
    return Modality(name="imaging", status="used", at=imaging.at)


def _report_modality(report: ReportInput | None, at: datetime, freshness: Freshness) -> Modality:
    if report is None:
        return Modality(name="report", status="missing")
    if report.status == "identity_unresolved":
        return Modality(name="report", status="identity_unresolved", detail="a person has to say whose it is")
    if report.report.refusal is not None:
        return Modality(name="report", status="rejected", detail=report.report.refusal, at=report.at)
    if at - report.at > freshness.report:
        detail = f"older than {freshness.report.days} days; used for what it asks to be followed up only"
        return Modality(name="report", status="stale", detail=detail, at=report.at)
    if report.status == "preliminary":
        return Modality(name="report", status="preliminary", detail="a final report may differ", at=report.at)
    return Modality(name="report", status="used", detail=report.status, at=report.at)


def _record_modality(patient: Patient) -> Modality:
    if not patient.kinds and not patient.observations:
        return Modality(name="record", status="missing", detail="nothing but the Patient resource")
    return Modality(name="record", status="used", at=patient.newest_at)
