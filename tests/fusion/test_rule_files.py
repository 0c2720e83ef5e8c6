"""Rule files: every mistake is found at start, named by file, line and rule; a site's own lie over the packaged."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusion.errors import RuleError
from fusion.rules import RuleSet, compile_rules
from tests.fusion import builders as build

RULE = """\
rules:
  - id: example
    version: "1.0"
    trigger: {finding: [lung_nodule]}
    inputs: [age_years]
    condition: age_years >= 18
    suggestions:
      - {orderable: ct_chest_without_contrast, text: CT chest, due_days: [14, 28]}
    severity: info
    summary: "A short summary"
    detail: "Age {age_years}."
    citation: A guideline
    verification: verified
    owner: someone
    reviewed_on: 2026-01-01
"""


def compiled(text: str = RULE, site: str | None = None) -> RuleSet:
    texts = {"example.yaml": text} | ({} if site is None else {"site/own.yaml": textwrap.dedent(site)})
    return compile_rules(texts, orderables=build.orderables(), findings=build.finding_keys())


def test_a_right_file_compiles_and_counts_its_rules() -> None:
    assert len(compiled()) == 1


def test_no_files_are_no_rules() -> None:
    assert len(compile_rules({})) == 0
    assert len(compile_rules({"empty.yaml": ""})) == 0


@pytest.mark.parametrize(
    ("written", "instead", "line", "said"),
    [
        ('summary: "A short summary"', f'summary: "{"x" * 140}"', 10, "fewer than 140"),
        ("orderable: ct_chest_without_contrast", "orderable: ct_all", 8, "unknown orderable 'ct_all'"),
        ("finding: [lung_nodule]", "finding: [lung_noodle]", 4, "unknown finding 'lung_noodle'"),
        ("condition: age_years >= 18", 'condition: sex == "male"', 6, "'sex' is not among the inputs"),
        ("condition: age_years >= 18", "condition: agee >= 18", 6, "'agee' is not among the inputs"),
        ("condition: age_years >= 18", "condition: age_years >=", 6, "not CEL"),
        ("condition: age_years >= 18", 'condition: age_years >= "old"', 6, "cannot be evaluated"),
        ("condition: age_years >= 18", "condition: age_years + 1", 6, "does not say true or false"),
        ("condition: age_years >= 18", "condition: very(age_years)", 6, "cannot be evaluated"),
        ("inputs: [age_years]", "inputs: [age_in_moons]", 5, "unknown fact 'age_in_moons'"),
        ("inputs: [age_years]", "inputs: [age_years, order_reason]", 5, "only to rules with a trigger 'order'"),
        ("inputs: [age_years]", "inputs: []", 5, "at least 1"),
        ("inputs: [age_years]", "inputs: [age_years, on_file_magic]", 5, "unknown orderable 'magic'"),
        ("severity: info", "severity: grave", 9, "severity"),
        ("due_days: [14, 28]", "due_days: [28, 14]", 8, "first <= last"),
        ('detail: "Age {age_years}."', 'detail: "Sex {sex}."', 11, "{sex} is not among the inputs"),
        ("owner: someone", "owner: ''", 14, "owner"),
        ("reviewed_on: 2026-01-01", "reviewed_on: lately", 15, "reviewed_on"),
        ("verification: verified", "verification: unverified", 2, "enabled: false"),
        ("trigger: {finding: [lung_nodule]}", "trigger: {}", 4, "exactly one"),
        ("trigger: {finding: [lung_nodule]}", "trigger: {score: luck}", 4, "unknown score 'luck'"),
        ("    citation: A guideline", "    citation: A guideline\n    colour: red", 13, "colour"),
        ("    citation: A guideline\n", "", 2, "citation"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_line_and_rule(written: str, instead: str, line: int, said: str) -> None:
    assert written in RULE
    with pytest.raises(RuleError) as caught:
        compiled(RULE.replace(written, instead))
    message = str(caught.value)
    assert message.startswith(f"example.yaml line {line}, rule 'example'")
    assert said in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [", "line 1: not YAML"),
        ("rules:\n  - id: a\n   version: 1", "line 3: not YAML"),
        ("- id: a", "expected one key, `rules`"),
        ("rules:\n  - version: '1'", "line 2: expected a rule with an id"),
        ("rules:\n  - just text", "line 2: expected a rule with an id"),
        ("rules:\n  - id: a\n    id: b", "line 3: 'id' is given twice"),
        ("rules:\n  - id: a\n    reviewed_on: 2026-13-45", "line 3"),
    ],
)
def test_what_is_no_rule_file_is_refused_with_the_line(text: str, said: str) -> None:
    with pytest.raises(RuleError, match=r"^example\.yaml") as caught:
        compiled(text)
    assert said in str(caught.value)


def test_an_id_may_be_used_once_among_the_packaged_files() -> None:
    with pytest.raises(RuleError, match=r"b\.yaml line 2, rule 'example'.*a\.yaml line 2"):
        compile_rules({"a.yaml": RULE, "b.yaml": RULE})


def test_a_site_replaces_single_fields_by_id() -> None:
    rule = compiled(site="rules:\n  - {id: example, severity: warning, summary: Our own words}").by_id["example"].rule
    assert (rule.severity, rule.summary, rule.citation) == ("warning", "Our own words", "A guideline")


def test_a_site_adds_rules() -> None:
    rules = compiled(site=RULE.replace("id: example", "id: our_own"))
    assert set(rules.by_id) == {"example", "our_own"}


def test_a_mistake_of_the_site_is_named_in_the_file_of_the_site() -> None:
    with pytest.raises(RuleError, match=r"^site/own\.yaml line 3, rule 'example'"):
        compiled(site="rules:\n  - id: example\n    severity: grave")


def test_a_mistake_that_a_site_leaves_in_the_packaged_part_is_named_there() -> None:
    with pytest.raises(RuleError, match=r"^example\.yaml line 6, rule 'example'"):
        compiled(site="rules:\n  - {id: example, inputs: [sex]}")


def test_a_site_may_switch_on_what_ships_disabled() -> None:
    text = RULE.replace("verification: verified", "verification: unverified\n    enabled: false")
    assert not compiled(text).by_id["example"].active
    assert compiled(text, "rules:\n  - {id: example, enabled: true}").by_id["example"].active


def test_what_a_site_switches_off_says_nothing_and_is_recorded_as_suppressed() -> None:
    rules = compiled(site="rules:\n  - {id: example, enabled: false}")
    assessment = build.assessed(rules=rules, text=build.report({"lung_nodule": {}}))
    assert assessment.follow_ups == ()
    assert [(status.rule_id, status.status) for status in assessment.rules] == [("example", "suppressed")]


def test_what_ships_disabled_leaves_no_trace() -> None:
    rules = compiled(RULE.replace("    severity", "    enabled: false\n    severity"))
    assessment = build.assessed(rules=rules, text=build.report({"lung_nodule": {}}))
    assert assessment.follow_ups == ()
    assert assessment.rules == ()


def test_an_input_counts_as_missing_when_it_is_too_old() -> None:
    text = RULE.replace("[age_years]", "[age_years, {name: heart_rate, within_days: 1}]")
    text = text.replace("age_years >= 18", "age_years >= 18 && heart_rate > 100.0")
    for days, status in ((0.9, []), (1.1, [("heart_rate",)])):
        who = build.patient(age=60, observations={"heart_rate": [120, days]})
        assessment = build.assessed(who, rules=compiled(text), text=build.report({"lung_nodule": {}}))
        assert [entry.missing for entry in assessment.rules] == status


def test_a_condition_that_fails_at_run_time_is_said_and_not_taken_for_false() -> None:
    text = RULE.replace("age_years >= 18", "age_years == 60 || age_years == 5 || [1, 2][age_years] == 1")
    assessment = build.assessed(build.patient(age=40), rules=compiled(text), text=build.report({"lung_nodule": {}}))
    (status,) = assessment.rules
    assert status.status == "not_evaluable"
    assert status.reason == "the condition failed: IndexError"


def refusal(text: str) -> str:
    """Return the message with which a file is refused, empty when it compiles."""
    try:
        compiled(text)
    except RuleError as error:
        return str(error)
    return ""


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=300))
def test_any_text_is_compiled_or_refused_with_its_line(text: str) -> None:
    assert refusal(text) == "" or refusal(text).startswith("example.yaml line ")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=st.characters(codec="ascii"), max_size=60))
def test_any_condition_is_compiled_or_refused_with_its_line(condition: str) -> None:
    quoted = condition.replace("'", "''").replace("\n", " ").replace("\r", " ")
    message = refusal(RULE.replace("condition: age_years >= 18", f"condition: '{quoted}'"))
    assert message == "" or message.startswith("example.yaml line ")
