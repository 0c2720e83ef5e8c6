"""Every packaged rule, by the cases kept as data: what fires it, what just does not, what makes it not evaluable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fusion.assessment import Assessment, RuleStatus
from fusion.rules import RuleSet, compile_rules
from fusion.rules.vocabulary import described
from tests.fusion import builders as build

CASES: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "data" / "rule_cases.yaml").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def every_rule() -> RuleSet:
    """Return the packaged rules, with those that ship disabled switched on by a site."""
    switched_on = [{"id": c.rule.id, "enabled": True} for c in build.packaged_rules() if not c.rule.enabled]
    texts = {**build.rule_texts(), "site/all.yaml": yaml.safe_dump({"rules": switched_on})}
    return compile_rules(texts, orderables=build.orderables(), findings=build.finding_keys())


def changed(case: Any, by: Any) -> Any:
    """Return a case with changes: mappings by key, null takes a key away."""
    if not isinstance(case, dict) or not isinstance(by, dict):
        return by
    result = dict(case)
    for key, value in by.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = changed(result.get(key), value)
    return result


def assessed(case: dict[str, Any], rules: RuleSet) -> Assessment:
    text = None
    if "said" in case or "report" in case:
        text = build.report(case.get("said"), **case.get("report", {}))
    return build.assessed(
        build.patient(**case.get("patient", {})),
        rules=rules,
        text=text,
        imaging=build.film(case["film"]) if "film" in case else None,
        orders=(build.draft(**case["order"]),) if "order" in case else (),
        ledger=tuple(build.open_follow_up(**entry) for entry in case.get("ledger", ())),
    )


def fired(assessment: Assessment) -> set[str]:
    opened = {item.rule_id for item in assessment.follow_ups if item.action in ("open", "overdue")}
    return opened | {check.rule_id for check in assessment.order_checks}


def status_of(assessment: Assessment, rule_id: str) -> RuleStatus | None:
    return next((status for status in assessment.rules if status.rule_id == rule_id), None)


def test_every_rule_has_its_three_cases() -> None:
    assert set(CASES) == set(build.packaged_rules().by_id)
    assert all(set(case) == {"fires", "does_not", "missing", "input"} for case in CASES.values())


@pytest.mark.parametrize("rule_id", CASES)
def test_a_rule_fires_on_its_case(rule_id: str, every_rule: RuleSet) -> None:
    assessment = assessed(CASES[rule_id]["fires"], every_rule)
    assert rule_id in fired(assessment)


@pytest.mark.parametrize("rule_id", CASES)
def test_a_rule_just_does_not_fire_on_its_counter_case(rule_id: str, every_rule: RuleSet) -> None:
    case = changed(CASES[rule_id]["fires"], CASES[rule_id]["does_not"])
    assessment = assessed(case, every_rule)
    assert rule_id not in fired(assessment)
    assert status_of(assessment, rule_id) is None


@pytest.mark.parametrize("rule_id", CASES)
def test_a_missing_input_makes_a_rule_not_evaluable_never_false(rule_id: str, every_rule: RuleSet) -> None:
    case = changed(CASES[rule_id]["fires"], CASES[rule_id]["missing"])
    assessment = assessed(case, every_rule)
    assert rule_id not in fired(assessment)
    status = status_of(assessment, rule_id)
    assert status is not None
    assert status.status == "not_evaluable"
    assert CASES[rule_id]["input"] in status.missing


@pytest.mark.parametrize("rule_id", CASES)
def test_what_fires_says_what_it_rests_on(rule_id: str, every_rule: RuleSet) -> None:
    assessment = assessed(CASES[rule_id]["fires"], every_rule)
    items = [item for item in (*assessment.follow_ups, *assessment.order_checks) if item.rule_id == rule_id]
    for item in items:
        assert item.evidence
        assert item.detail
        assert "{" not in item.detail
        assert len(item.summary) < 140
        assert item.citation


def test_at_least_a_dozen_follow_ups_and_a_dozen_order_checks_ship_enabled() -> None:
    enabled = [c.rule for c in build.packaged_rules() if c.rule.enabled]
    assert sum(rule.trigger.order is None for rule in enabled) >= 12
    assert sum(rule.trigger.order is not None for rule in enabled) >= 12


def test_the_documentation_names_every_fact_and_every_rule() -> None:
    page = (build.CONFIGS.parent / "docs" / "rules.md").read_text(encoding="utf-8")
    names = {name for name, _, _ in described()} | set(build.packaged_rules().by_id)
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def test_rules_on_unverified_facts_ship_disabled() -> None:
    unverified = [c.rule for c in build.packaged_rules() if c.rule.verification == "unverified"]
    assert unverified
    assert not any(rule.enabled for rule in unverified)
