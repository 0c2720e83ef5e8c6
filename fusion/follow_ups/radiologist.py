"""What the radiologist asks for, as follow-ups: the step by orderable, the window from the interval in the words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from fusion.assessment import Evidence, Severity, Suggestion, Urgency
from fusion.follow_ups.proposal import Proposal, follow_up_key
from fusion.modalities import ReportInput
from fusion.orderables import Orderable
from nlp.result import Recommendation

RULE_ID = "radiologist_recommendation"
RULE_VERSION = "1.0"
CITATION = "Recommendation of the reporting radiologist"
_WITH_CONTRAST = frozenset(
    {
        "lung_mass", "lung_cancer", "lung_metastasis", "mediastinal_mass", "enlarged_mediastinum", "lymphadenopathy",
        "hilar_enlargement",
    }
)  # fmt: skip
_PREFERRED: Mapping[tuple[str, str | None], str] = {
    ("CT", "chest"): "ct_chest_without_contrast",
    ("CT", "abdomen"): "ct_abdomen_pelvis_with_contrast",
    ("CT", "pelvis"): "ct_abdomen_pelvis_with_contrast",
    ("CT", "head"): "ct_head_without_contrast",
    ("MR", "head"): "mr_head",
    ("MR", "spine"): "mr_lumbar_spine_without_contrast",
    ("XR", "chest"): "xr_chest_pa_lateral",
    ("XR", "abdomen"): "xr_abdomen",
    ("XR", "ribs"): "xr_ribs",
    ("XR", "hip"): "xr_hip",
    ("XR", "knee"): "xr_knee",
    ("XR", "wrist"): "xr_wrist",
    ("XR", "ankle"): "xr_ankle",
    ("US", "chest"): "us_chest",
    ("US", "breast"): "us_breast",
    ("US", "heart"): "echocardiography",
    ("MG", "breast"): "mg_diagnostic",
    ("DXA", None): "dxa_skeletal",
    ("PET", None): "pet_ct_whole_body",
    ("biopsy", "breast"): "breast_biopsy",
}  # fmt: skip
_SOON = 14
_NEEDS_PLACE = frozenset({"CT", "MR", "XR", "US"})
_PLACED = _NEEDS_PLACE | {"MG", "biopsy"}
_MODALITY_WORDS = {"lab": "laboratory test", "clinical": "clinical review", "other": "follow-up", "biopsy": "biopsy"}


def proposals_of(report: ReportInput | None, orderables: Mapping[str, Orderable]) -> Iterator[Proposal]:
    """Yield one proposal per recommendation of a usable report, in the order of the text."""
    if report is None or not report.usable:
        return
    seen: set[str] = set()
    for recommendation in report.report.recommendations:
        proposal = _proposal(recommendation, report, orderables)
        if proposal.key not in seen:
            seen.add(proposal.key)
            yield proposal


def _proposal(recommendation: Recommendation, report: ReportInput, orderables: Mapping[str, Orderable]) -> Proposal:
    first, last, source = _interval(recommendation)
    day = report.at.date()
    due_from = None if first is None else day + timedelta(days=first)
    due_to = None if last is None else day + timedelta(days=last)
    orderable = _orderable(recommendation, orderables)
    urgency: Urgency = "urgent" if last is not None and last <= 1 else "routine"
    suggestions: tuple[Suggestion, ...] = ()
    if orderable is not None:
        text = orderables[orderable].display if orderable in orderables else orderable.replace("_", " ")
        suggestions = (Suggestion(orderable=orderable, text=text, urgency=urgency, due_from=due_from, due_to=due_to),)
    return Proposal(
        key=follow_up_key(
            f"{RULE_ID}:{recommendation.finding}",
            report.reference,
            f"{recommendation.modality}:{recommendation.body_part}:{first}:{last}",
        ),
        source="radiologist",
        rule_id=RULE_ID,
        rule_version=RULE_VERSION,
        finding=recommendation.finding,
        summary=_summary(recommendation),
        detail=_detail(recommendation, source),
        severity=_severity(recommendation, last),
        suggestions=suggestions,
        due_from=due_from,
        due_to=due_to,
        conditional=recommendation.conditional,
        citation=CITATION if source is None else f"{CITATION}; interval: {source}",
        since=report.at,
        evidence=(
            Evidence(
                kind="report",
                reference=report.reference,
                detail="recommendation",
                start=recommendation.start,
                end=recommendation.end,
            ),
        ),
    )


def _interval(recommendation: Recommendation) -> tuple[int | None, int | None, str | None]:
    first, last = recommendation.interval_days_min, recommendation.interval_days_max
    if first is None and last is None:
        return recommendation.guideline_days_min, recommendation.guideline_days_max, recommendation.guideline
    last = last if last is not None else first
    return (_earliest(last) if first == last and last is not None else first), last, None


def _earliest(last: int) -> int:
    """Return the first day of the window of a step that is asked for by one day only.

    What is due within two weeks may be done at once; a later control makes sense in the last eighth of its interval.
    """
    return 0 if last <= _SOON else last - last // 8


def _orderable(recommendation: Recommendation, orderables: Mapping[str, Orderable]) -> str | None:
    modality = recommendation.modality
    place = recommendation.body_part
    if place is None and modality in _NEEDS_PLACE:
        place = _place_of(recommendation.finding)
    key = _PREFERRED.get((modality, place if modality in _PLACED else None))
    if modality == "MG":
        key = "mg_diagnostic"
    if key == "ct_chest_without_contrast" and _wants_contrast(recommendation):
        key = "ct_chest_with_contrast"
    return key if key in orderables or not orderables else None


def _wants_contrast(recommendation: Recommendation) -> bool:
    """Whether a CT of the chest is meant with contrast: as the words say, else as is usual for the finding."""
    if recommendation.contrast is not None:
        return recommendation.contrast == "with"
    return recommendation.finding in _WITH_CONTRAST


def _place_of(finding: str | None) -> str | None:
    """Return the region of chest findings; of others the region has to be in the words."""
    return "chest" if finding in _CHEST_FINDINGS else None


_CHEST_FINDINGS = frozenset(
    {
        "lung_nodule", "nodular_opacity", "lung_mass", "lung_opacity", "consolidation", "pneumonia", "infiltration",
        "atelectasis", "pleural_effusion", "pneumothorax", "enlarged_mediastinum", "mediastinal_mass",
        "lymphadenopathy", "hilar_enlargement", "lung_cancer", "lung_metastasis", "interstitial_disease",
        "fibrosis", "lung_cavity",
    }
)  # fmt: skip


def _summary(recommendation: Recommendation) -> str:
    what = _MODALITY_WORDS.get(recommendation.modality, recommendation.modality)
    place = f" of the {recommendation.body_part}" if recommendation.body_part else ""
    cause = f" for {recommendation.finding.replace('_', ' ')}" if recommendation.finding else ""
    condition = " (under a condition stated in the report)" if recommendation.conditional else ""
    return f"The radiologist recommends {what}{place}{cause}{condition}."[:139]


def _detail(recommendation: Recommendation, source: str | None) -> str:
    parts = ["Recommended in the report."]
    if source is not None:
        parts.append(f"The report gives no interval; the one suggested follows {source}.")
    elif recommendation.interval_days_max is None and recommendation.interval_days_min is None:
        parts.append("The report gives no interval.")
    if recommendation.conditional:
        parts.append("It holds under a condition stated in the report.")
    return " ".join(parts)


def _severity(recommendation: Recommendation, last: int | None) -> Severity:
    if recommendation.conditional:
        return "info"
    return "warning" if last is not None and last <= 14 else "info"
