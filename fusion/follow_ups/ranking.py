"""Who asks first: the radiologist outranks the table, and one examination is suggested once, at its earliest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from fusion.assessment import RuleStatus
from fusion.examinations import IMAGING_MODALITIES
from fusion.follow_ups.proposal import Proposal
from fusion.orderables import Orderable

_SAME_MATTER: tuple[frozenset[str], ...] = (
    frozenset({"lung_nodule", "nodular_opacity", "lung_mass"}),
    frozenset({"consolidation", "pneumonia", "infiltration", "lung_opacity"}),
    frozenset({"cardiomegaly", "enlarged_cardiac_silhouette"}),
    frozenset({"lymphadenopathy", "hilar_enlargement", "mediastinal_mass", "enlarged_mediastinum"}),
    frozenset({"fibrosis", "interstitial_disease"}),
    frozenset({"hip_fracture", "femur_neck_fracture"}),
)
_SEVERITY_ORDER = {"critical": 0, "warning": 1, "info": 2}


def ranked(
    asked: Sequence[Proposal], table: Iterable[Proposal], orderables: Mapping[str, Orderable]
) -> tuple[list[Proposal], list[RuleStatus]]:
    """Return the proposals that stand, and the rules that were outranked.

    A rule is outranked when the radiologist says what to do about its finding (unless it is critical), or when all it
    suggests is asked for already, no later.
    """
    standing = list(asked)
    outranked: list[RuleStatus] = []
    for proposal in sorted(table, key=lambda p: (_SEVERITY_ORDER[p.severity], p.due_to or date.max, p.rule_id)):
        if proposal.severity != "critical" and any(_answers(other, proposal) for other in asked):
            outranked.append(_status(proposal, "the radiologist recommends a next step for this finding"))
            continue
        left = tuple(s for s in proposal.suggestions if not _asked_for(s.orderable, proposal, standing, orderables))
        if proposal.suggestions and not left:
            outranked.append(_status(proposal, "the same examination is asked for already"))
            continue
        standing.append(replace(proposal, suggestions=left))
    return standing, outranked


def same_matter(one: str | None, other: str | None) -> bool:
    """Return whether two findings are one matter, such as nodule and nodular opacity."""
    if one is None or other is None:
        return False
    return one == other or any(one in group and other in group for group in _SAME_MATTER)


def _answers(recommendation: Proposal, proposal: Proposal) -> bool:
    says_what = bool(recommendation.suggestions) or recommendation.due_to is not None
    return says_what and same_matter(recommendation.finding, proposal.finding)


def _asked_for(
    orderable: str, proposal: Proposal, standing: Iterable[Proposal], orderables: Mapping[str, Orderable]
) -> bool:
    return any(
        _same_examination(orderable, suggestion.orderable, orderables)
        for other in standing
        if not other.conditional and (other.due_to or date.max) <= (proposal.due_to or date.max)
        for suggestion in other.suggestions
    )


def _same_examination(one: str, other: str, orderables: Mapping[str, Orderable]) -> bool:
    if one == other:
        return True
    first, second = orderables.get(one), orderables.get(other)
    if first is None or second is None or first.modality not in IMAGING_MODALITIES:
        return False
    return (first.modality, first.region) == (second.modality, second.region)


def _status(proposal: Proposal, reason: str) -> RuleStatus:
    return RuleStatus(rule_id=proposal.rule_id, rule_version=proposal.rule_version, status="outranked", reason=reason)
