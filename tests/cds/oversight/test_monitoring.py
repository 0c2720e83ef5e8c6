"""Monitoring: what verdicts say of a model, how scores move, and how long films take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from cds.oversight.monitoring import Judged, Passage, Scored, agreements, drifts, share, stability_index, turnarounds

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def judged(label: bool | None, verdict: str, at: datetime = NOW) -> Judged:
    return Judged("pneumothorax", "adult 1", 0.5, label, verdict, at)


def test_agreement_sensitivity_and_specificity_come_from_what_people_see() -> None:
    rows = [
        judged(True, "agree"),
        judged(True, "agree"),
        judged(True, "corrected"),
        judged(True, "disagree"),
        judged(False, "agree"),
        judged(False, "disagree"),
        judged(False, "not_assessable"),
    ]
    (over_all,) = [row for row in agreements(rows) if row.period == "all"]
    assert (over_all.agreement.hits, over_all.agreement.of) == (4, 6)
    assert over_all.sensitivity is not None
    assert over_all.specificity is not None
    assert (over_all.sensitivity.hits, over_all.sensitivity.of) == (3, 4), "three seen above the cut-off, one below"
    assert (over_all.specificity.hits, over_all.specificity.of) == (1, 2)


def test_a_correction_of_what_the_model_did_not_see_is_a_miss() -> None:
    (row,) = [row for row in agreements([judged(False, "corrected")]) if row.period == "all"]
    assert row.agreement.hits == 0
    assert row.sensitivity is not None
    assert row.sensitivity.hits == 0


def test_agreement_is_given_by_month_too() -> None:
    rows = agreements([judged(True, "agree"), judged(True, "disagree", NOW - 40 * DAY)])
    assert [(row.period, row.agreement.hits) for row in rows] == [("2026-01", 0), ("2026-03", 1), ("all", 1)]


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"), [(0, 10, 0.0, 0.278), (8, 10, 0.490, 0.943), (5, 5, 0.566, 1.0)]
)
def test_a_share_has_the_interval_of_wilson(hits: int, of: int, low: float, high: float) -> None:
    found = share(hits, of)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.001)


def test_scores_that_stay_have_no_shift_and_scores_that_move_have_one() -> None:
    rng = np.random.default_rng(5)
    before = rng.beta(2, 5, 2000)
    assert stability_index(before, rng.beta(2, 5, 2000)) < 0.05
    assert stability_index(before, rng.beta(4, 3, 2000)) > 0.25


def test_drift_is_told_only_with_enough_scores_on_both_sides() -> None:
    def scores(count: int, score: float, at: datetime) -> list[Scored]:
        return [Scored("pneumothorax", "adult 1", score, score > 0.3, at) for _ in range(count)]

    old, new = NOW - 20 * DAY, NOW
    (few,) = drifts([*scores(30, 0.1, old), *scores(5, 0.9, new)], latest_from=NOW - DAY)
    assert (few.before, few.latest, few.psi) == (30, 5, None)
    (many,) = drifts([*scores(30, 0.1, old), *scores(30, 0.9, new)], latest_from=NOW - DAY)
    assert many.psi is not None
    assert many.psi > 0.25
    assert many.positive_before is not None
    assert many.positive_latest is not None
    assert (many.positive_before.value, many.positive_latest.value) == (0, 1)


def test_turnaround_counts_from_arrival_the_films_that_reached_a_stage() -> None:
    passages = [
        Passage(NOW, {"result": NOW + timedelta(seconds=4 * n), "opened": None, "verdict": None}) for n in (1, 2, 3)
    ]
    (result,) = turnarounds(passages)
    assert (result.stage, result.films, result.median, result.longest) == ("result", 3, 8, 12)
