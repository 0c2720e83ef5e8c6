"""Next steps that are due: asked for by the radiologist, by rules on findings and by rules on scores.

proposal.py     a next step before it meets record and ledger; its stable key
radiologist.py  recommendations of the report
table.py        rules of configs/rules
ranking.py      the radiologist first; one examination once
ledger.py       open, keep, overdue, close
"""

from __future__ import annotations

from collections.abc import Sequence

from fusion.assessment import FollowUp, OpenFollowUp, RuleStatus
from fusion.follow_ups import radiologist, table
from fusion.follow_ups.ledger import Ledger
from fusion.follow_ups.proposal import Proposal
from fusion.follow_ups.ranking import ranked
from fusion.follow_ups.table import findings_to_follow
from fusion.rules import RuleSet, Situation


def follow_ups_of(
    situation: Situation, rules: RuleSet, open_follow_ups: Sequence[OpenFollowUp]
) -> tuple[tuple[FollowUp, ...], tuple[RuleStatus, ...]]:
    """Return the follow-ups of a patient at a time, and the rules that were triggered and say nothing."""
    orderables = situation.examinations.orderables
    asked = list(radiologist.proposals_of(situation.report, orderables))
    outcomes = list(table.proposals_of(situation, rules))
    proposed = [outcome for outcome in outcomes if isinstance(outcome, Proposal)]
    statuses = [outcome for outcome in outcomes if isinstance(outcome, RuleStatus)]
    standing, outranked = ranked(asked, proposed, orderables)
    updated = Ledger(situation, rules).updated(standing, open_follow_ups)
    return tuple(updated), tuple(statuses + outranked)


__all__ = ["findings_to_follow", "follow_ups_of"]
