"""What report and film say of each finding, side by side; the report comes first.

A film finding counts only with label True. What report and film disagree about is ranked for a second look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from fusion.assessment import Evidence, FindingView
from fusion.modalities import ImagingInput, ReportInput
from nlp.result import Mention
from vision.result import Finding

NOT_STATED = "not_stated"
ABNORMAL = "abnormal"
_OF_THE_EXAMINATION = frozenset({"indication", "history", "comparison", "technique", "exam"})
_ASSERTIONS = ("present", "possible", "absent", "historical", "hypothetical", "family")
_CHANGES = ("worse", "new", "stable", "better", "resolved")
_IMPLIED_BY: Mapping[str, tuple[str, ...]] = {
    "lung_opacity": ("consolidation", "pneumonia", "infiltration", "paediatric_pneumonia", "atelectasis", "lung_mass"),
    "paediatric_pneumonia": ("pneumonia", "consolidation"),
    "pneumonia": ("paediatric_pneumonia",),
    "infiltration": ("consolidation", "pneumonia"),
    "cardiomegaly": ("enlarged_cardiac_silhouette",),
    "tuberculosis": ("cavitary_tuberculosis",),
    "lung_nodule": ("nodular_opacity", "lung_mass"),
    "pneumothorax": ("tension_pneumothorax", "hydropneumothorax"),
    "pleural_effusion": ("hydropneumothorax", "haemothorax", "empyema"),
    "fibrosis": ("interstitial_disease",),
    "fracture": ("rib_fracture", "clavicle_fracture", "humerus_fracture", "radius_fracture", "hip_fracture"),
}  # fmt: skip


@dataclass(frozen=True)
class SeenFinding:
    """One finding as one source gives it; what is not said is "not_stated".

    size_mm  longest axis of the largest, now (not on an earlier examination)
    """

    key: str
    source: Literal["report", "image"]
    assertion: str
    change: str = NOT_STATED
    laterality: str = NOT_STATED
    severity: str = NOT_STATED
    location: str = NOT_STATED
    size_mm: float | None = None
    evidence: tuple[Evidence, ...] = ()


def findings_said(report: ReportInput | None) -> dict[str, SeenFinding]:
    """Return what a usable report says, by finding key: of several mentions, the one that asserts the most."""
    if report is None or not report.usable:
        return {}
    by_key: dict[str, list[Mention]] = {}
    for mention in report.report.findings:
        if mention.section not in _OF_THE_EXAMINATION:
            by_key.setdefault(mention.finding, []).append(mention)
    return {key: _said(key, mentions, report) for key, mentions in by_key.items()}


def findings_shown(film: ImagingInput | None) -> dict[str, SeenFinding]:
    """Return what a usable film shows above its cut-off, by finding key."""
    if film is None or not film.usable:
        return {}
    return {f.key: _shown(f, film) for f in film.result.findings if f.label is True}


def finding_views(report: ReportInput | None, film: ImagingInput | None) -> tuple[FindingView, ...]:
    """Return one view per finding that the report mentions or the film was assessed for, in the order of the keys.

    A report of another modality (a CT) is no reading of the film: nothing is compared with it.
    """
    said = findings_said(report)
    assessed = {f.key: f for f in film.result.findings} if film is not None and film.usable else {}
    status = report.status if report is not None and report.usable else None
    verdict = _verdict(report)
    views = []
    for key in sorted(said | assessed):
        mention = verdict if key == ABNORMAL else said.get(key) or _implied(key, said)
        views.append(_view(key, mention, status, assessed.get(key), film))
    if report is not None and report.modality not in (None, "XR"):
        return tuple(view.model_copy(update={"agreement": "not_comparable"}) for view in views)
    return tuple(views)


def second_look(views: Iterable[FindingView]) -> tuple[FindingView, ...]:
    """Return the views in which report and film disagree, the most surprising first."""
    disagreeing = [view for view in views if view.agreement in ("image_only", "report_only")]
    return tuple(sorted(disagreeing, key=lambda view: (-surprise(view), view.key)))


def surprise(view: FindingView) -> float:
    """Return how surprising a disagreement is, 0-2: more the surer the film, and most where the report denies it."""
    score = view.image_probability if view.image_probability is not None else view.image_score or 0.0
    if view.agreement == "report_only":
        return 1.0 - score
    return score + (1.0 if view.report_assertion == "absent" else 0.0)


def _said(key: str, mentions: list[Mention], report: ReportInput) -> SeenFinding:
    assertion = next(a for a in _ASSERTIONS if any(m.assertion == a for m in mentions))
    meant = [m for m in mentions if m.assertion == assertion]
    sizes = [max(s.values_mm) for m in meant for s in m.measurements if s.values_mm and not s.prior]
    return SeenFinding(
        key=key,
        source="report",
        assertion=assertion,
        change=next((c for c in _CHANGES if any(m.change == c for m in meant)), NOT_STATED),
        laterality=_sides(meant),
        severity=next((m.severity for m in meant if m.severity), NOT_STATED),
        location=next((m.location for m in meant if m.location), NOT_STATED),
        size_mm=max(sizes, default=None),
        evidence=tuple(_words(m, report) for m in meant),
    )


def _sides(mentions: list[Mention]) -> str:
    sides = {m.laterality for m in mentions if m.laterality}
    if "bilateral" in sides or len(sides) > 1:
        return "bilateral"
    return next(iter(sides), None) or NOT_STATED


def _words(mention: Mention, report: ReportInput) -> Evidence:
    detail = " ".join(
        word for word in (mention.change, mention.laterality, mention.location, mention.finding) if word is not None
    )
    return Evidence(
        kind="report",
        reference=report.reference,
        detail=f"{detail}: {mention.assertion}",
        start=mention.start,
        end=mention.end,
    )


def _shown(finding: Finding, film: ImagingInput) -> SeenFinding:
    regions = [region for region in film.result.regions if region.finding == finding.key]
    sides = {region.side for region in regions if region.side in ("left", "right")}
    laterality = "bilateral" if len(sides) > 1 else next(iter(sides), None) or NOT_STATED
    return SeenFinding(
        finding.key, "image", "present", laterality=laterality, evidence=(_region_evidence(finding, film),)
    )


def _region_evidence(finding: Finding, film: ImagingInput) -> Evidence:
    places = [
        " ".join(part for part in (region.side, region.zone) if part) or "unnamed region"
        for region in film.result.regions
        if region.finding == finding.key
    ]
    where = f" ({', '.join(dict.fromkeys(places))})" if places else ""
    return Evidence(kind="imaging", reference=film.reference, detail=f"{finding.key} {finding.score:.2f}{where}")


def _verdict(report: ReportInput | None) -> SeenFinding | None:
    """Return what the whole report says of normal or abnormal, to set beside the film's triage."""
    if report is None or not report.usable or report.report.normal is None:
        return None
    return SeenFinding(ABNORMAL, "report", "absent" if report.report.normal else "present")


def _implied(key: str, said: Mapping[str, SeenFinding]) -> SeenFinding | None:
    return next((said[k] for k in _IMPLIED_BY.get(key, ()) if k in said and said[k].assertion == "present"), None)


def _view(
    key: str, said: SeenFinding | None, status: str | None, shown: Finding | None, film: ImagingInput | None
) -> FindingView:
    evidence = (said.evidence if said else ()) + (
        (_region_evidence(shown, film),) if shown is not None and film is not None and shown.label else ()
    )
    return FindingView(
        key=key,
        report_assertion=said.assertion if said else None,
        report_status=status if said else None,
        image_score=shown.score if shown else None,
        image_probability=shown.probability if shown else None,
        image_label=shown.label if shown else None,
        agreement=_agreement(said.assertion if said else None, shown.label if shown else None),
        evidence=evidence,
    )


def _agreement(
    assertion: str | None, label: bool | None
) -> Literal["agree", "image_only", "report_only", "not_comparable"]:
    """Return how report and film compare; a report that is silent, or does not decide, denies nothing."""
    if label is True:
        if assertion in ("present", "possible"):
            return "agree"
        return "image_only" if assertion in (None, "absent") else "not_comparable"
    if label is False and assertion in ("present", "absent"):
        return "agree" if assertion == "absent" else "report_only"
    return "not_comparable"
