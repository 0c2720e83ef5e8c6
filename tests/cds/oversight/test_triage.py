"""The order of the worklist: urgency, certainty, waiting, the cap, and a person's last word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.errors import ConfigurationError
from cds.oversight.triage import LEVELS, Override, Priority, Reason, TriagePolicy, of_report, policy_from
from cds.site.configuration import Configs
from nlp import StructuredReport
from nlp.result import Communication, CriticalResult
from vision import ImagingResult
from vision.result import Finding, ModelRef, Rejection

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MODEL = ModelRef(id="adult", version="1", sha256="0" * 64)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def policy() -> TriagePolicy:
    return Configs().triage()


def film(**scores: float) -> ImagingResult:
    """Return a result whose cut-offs are all 0.2."""
    return ImagingResult(
        findings=tuple(
            Finding(key=key, score=score, label=score >= 0.2, threshold=0.2, model=MODEL)
            for key, score in scores.items()
        ),
        analysed_at=NOW,
    )


def priority(
    policy: TriagePolicy, result: ImagingResult, *others: Reason, override: Override | None = None
) -> Priority:
    return policy.priority([*policy.of_film(result), *others], film_cost=policy.cost(result), override=override)


def order(policy: TriagePolicy, *waiting: tuple[str, Priority, timedelta]) -> list[str]:
    return [name for name, one, waited in sorted(waiting, key=lambda item: policy.rank(item[1], item[2]))]


def test_a_likely_finding_has_its_level_and_one_that_is_only_above_its_cut_off_the_next(policy: TriagePolicy) -> None:
    assert priority(policy, film(pneumothorax=0.8)).level == "critical"
    assert priority(policy, film(pneumothorax=0.3)).level == "urgent"
    assert priority(policy, film(pneumothorax=0.1)).level == "none"


def test_a_film_is_as_urgent_as_the_gravest_thing_said_of_it(policy: TriagePolicy) -> None:
    said = [Reason("urgent", "follow_up", note="CT within 2 weeks")]
    found = priority(policy, film(lung_nodule=0.9), *said)
    assert (found.level, [reason.note for reason in found.reasons]) == ("urgent", ["CT within 2 weeks"])


def test_within_a_level_the_surer_film_comes_first_and_among_equals_the_longest_waiting(policy: TriagePolicy) -> None:
    sure, less = priority(policy, film(pulmonary_edema=0.95)), priority(policy, film(pulmonary_edema=0.5))
    assert order(policy, ("less", less, 2 * HOUR), ("sure", sure, HOUR)) == ["sure", "less"]
    assert order(policy, ("new", sure, HOUR), ("old", sure, 2 * HOUR)) == ["old", "new"]


def test_below_every_cut_off_the_more_suspicious_film_still_comes_first(policy: TriagePolicy) -> None:
    near, far = priority(policy, film(pulmonary_edema=0.19)), priority(policy, film(pulmonary_edema=0.01))
    assert order(policy, ("far", far, 2 * HOUR), ("near", near, HOUR)) == ["near", "far"]


def test_what_has_waited_three_quarters_of_the_cap_goes_before_all_but_the_critical(policy: TriagePolicy) -> None:
    waiting = (
        ("urgent", priority(policy, film(pulmonary_edema=0.9)), HOUR),
        ("nothing", priority(policy, film(pulmonary_edema=0.01)), 0.76 * policy.longest_wait),
        ("critical", priority(policy, film(pneumothorax=0.9)), timedelta(0)),
    )
    assert order(policy, *waiting) == ["critical", "nothing", "urgent"]


def test_a_person_decides_the_level_alone_and_is_named_first(policy: TriagePolicy) -> None:
    raised = priority(policy, film(pulmonary_edema=0.01), override=Override("critical", "unwell", "ward"))
    assert (raised.level, raised.reasons[0].note) == ("critical", "unwell")
    assert priority(policy, film(pneumothorax=0.9), override=Override("none", "known", "reader")).level == "none"


def test_a_report_counts_until_its_result_is_told() -> None:
    result = CriticalResult(finding="pneumothorax", urgency=1, start=0, end=1)
    silent = StructuredReport(critical=(result,), extracted_at=NOW)
    documented = silent.model_copy(update={"communication": Communication(documented=True)})
    assert [reason.level for reason in of_report(silent, frozenset())] == ["critical"]
    assert [reason.level for reason in of_report(silent, frozenset({"pneumothorax"}))] == ["soon"]
    assert [reason.level for reason in of_report(documented, frozenset())] == ["soon"]


def test_a_film_that_cannot_be_read_or_is_not_analysed_yet_is_never_taken_as_normal(policy: TriagePolicy) -> None:
    refused = ImagingResult(rejection=Rejection(code="not_chest", reason="not a chest film"), analysed_at=NOW)
    assert policy.priority(policy.of_film(refused)).level == "unreadable"
    assert policy.priority([]).level == "waiting"
    assert LEVELS.index("waiting") < LEVELS.index("none")


def test_a_film_is_late_after_the_time_of_its_level(policy: TriagePolicy) -> None:
    assert policy.is_late("critical", timedelta(minutes=16))
    assert not policy.is_late("urgent", timedelta(minutes=16))
    assert policy.is_late("none", policy.longest_wait)


@settings(max_examples=25, deadline=None)
@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_a_higher_score_never_moves_a_film_back(scores: list[float]) -> None:
    policy = Configs().triage()
    ranks = [policy.rank(priority(policy, film(pneumothorax=score)), HOUR) for score in sorted(scores)]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize(
    ("limits", "levels", "findings", "named"),
    [
        ([], [], [], "longest_wait_minutes"),
        ([{"id": "longest_wait_minutes", "value": 0}], [], [], "longest_wait_minutes"),
        ([{"id": "longest_wait_minutes", "value": 60}], [{"id": "grave", "target_minutes": 5}], [], "grave"),
        ([{"id": "longest_wait_minutes", "value": 60}], [], [{"id": "pneumothorax", "level": "red"}], "pneumothorax"),
    ],
)
def test_a_wrong_entry_is_named(limits: list[dict], levels: list[dict], findings: list[dict], named: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ConfigurationError, match=named):
        policy_from(limits, levels, findings)
