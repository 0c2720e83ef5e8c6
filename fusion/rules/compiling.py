"""Rule files -> compiled rules: everything that can be wrong is found at start, with file, line and rule."""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import cel
from pydantic import ValidationError

from fusion.assessment import Evidence, RuleStatus
from fusion.orderables import ORDERABLE_KEYS
from fusion.rules.definition import Rule
from fusion.rules.situation import Known, Situation
from fusion.rules.source import SITE, Entry, read_entries
from fusion.rules.vocabulary import Fact, Kind, fact_named, referenced_key
from fusion.scores.registry import SCORES

_BOUND = re.compile(r"\.(?:all|exists|exists_one|filter|map)\(\s*(\w+)\s*,")
_CEL_ERRORS = (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError)
_SAMPLES: Mapping[Kind, tuple[Any, ...]] = {
    "bool": (True, False),
    "int": (60, 5),
    "double": (60.5, 0.5),
    "string": ("some text", ""),
    "list<double>": ([1.5, 400.5], []),
    "list<string>": (["some text"], []),
}


@dataclass(frozen=True)
class CompiledInput:
    fact: Fact
    within: timedelta | None

    def find(self, situation: Situation) -> Known | None:
        """Return the fact in a situation; what does not hang on finding or order is found once for all rules."""
        if self.fact.scope != "any":
            return self.fact.find(situation, self.within)
        key = (self.fact.name, self.within)
        if key not in situation.found:
            situation.found[key] = self.fact.find(situation, self.within)
        return situation.found[key]


@dataclass(frozen=True)
class Fired:
    """A rule whose condition holds: what it rests on, and its detail with the values filled in."""

    evidence: tuple[Evidence, ...]
    detail: str


@dataclass(frozen=True)
class CompiledRule:
    """A rule that can be evaluated; `suppressed` when the site has switched off what ships enabled."""

    rule: Rule
    inputs: tuple[CompiledInput, ...]
    condition: cel.Program
    suppressed: bool = False

    @property
    def active(self) -> bool:
        return self.rule.enabled or self.suppressed

    def evaluate(self, situation: Situation) -> Fired | RuleStatus | None:
        """Return what follows: fired, not evaluable or suppressed; None when the condition does not hold."""
        found = {item.fact.name: item.find(situation) for item in self.inputs}
        missing = tuple(name for name, known in found.items() if known is None)
        if missing:
            return self.status("not_evaluable", missing=missing)
        known = {name: fact for name, fact in found.items() if fact is not None}
        try:
            holds = self.condition.execute({name: fact.value for name, fact in known.items()})
        except _CEL_ERRORS as error:
            return self.status("not_evaluable", reason=f"the condition failed: {type(error).__name__}")
        if holds is not True:
            return None
        if self.suppressed:
            return self.status("suppressed", reason="switched off by the site")
        evidence = tuple(dict.fromkeys(item for fact in known.values() for item in fact.evidence))
        return Fired(evidence, self.rule.detail.format_map({name: _shown(fact.value) for name, fact in known.items()}))

    def status(self, status: Any, *, missing: tuple[str, ...] = (), reason: str | None = None) -> RuleStatus:
        return RuleStatus(
            rule_id=self.rule.id, rule_version=self.rule.version, status=status, missing=missing, reason=reason
        )


class RuleSet:
    """All rules that were read, compiled and indexed by what triggers them. Its length counts the disabled ones too."""

    def __init__(self, rules: Collection[CompiledRule]) -> None:
        self.by_id: Mapping[str, CompiledRule] = {compiled.rule.id: compiled for compiled in rules}

    def __len__(self) -> int:
        return len(self.by_id)

    def __iter__(self) -> Iterator[CompiledRule]:
        return iter(self.by_id.values())

    def with_trigger(self, keep: Callable[[CompiledRule], bool]) -> tuple[CompiledRule, ...]:
        return tuple(compiled for compiled in self if compiled.active and keep(compiled))

    @cached_property
    def by_finding(self) -> Mapping[str, tuple[CompiledRule, ...]]:
        """Active rules by finding key."""
        found: dict[str, list[CompiledRule]] = defaultdict(list)
        for compiled in self.with_trigger(lambda c: bool(c.rule.trigger.finding)):
            for key in compiled.rule.trigger.finding:
                found[key].append(compiled)
        return {key: tuple(rules) for key, rules in found.items()}

    @cached_property
    def of_report_scores(self) -> tuple[CompiledRule, ...]:
        return self.with_trigger(lambda c: c.rule.trigger.report_score is not None)

    @cached_property
    def of_scores(self) -> tuple[CompiledRule, ...]:
        return self.with_trigger(lambda c: c.rule.trigger.score is not None)

    @cached_property
    def of_orders(self) -> tuple[CompiledRule, ...]:
        return self.with_trigger(lambda c: c.rule.trigger.order is not None)


def compile_rules(
    texts: Mapping[str, str],
    *,
    orderables: Collection[str] | None = None,
    findings: Collection[str] | None = None,
) -> RuleSet:
    """Return the rules of some files, checked and compiled.

    texts       file name -> YAML; files named "site/..." replace fields of packaged rules by id, or add rules
    orderables  keys that may be suggested; default: those that every installation has
    findings    keys that may trigger; default: not checked

    Raises RuleError that names file, line and rule.
    """
    known = ORDERABLE_KEYS if orderables is None else frozenset(orderables)
    return RuleSet([_compiled(entry, known, findings) for entry in read_entries(texts)])


def _compiled(entry: Entry, orderables: Collection[str], findings: Collection[str] | None) -> CompiledRule:
    rule = _validated(entry)
    _check_keys(entry, rule, orderables, findings)
    inputs = tuple(_input(entry, rule, number) for number in range(len(rule.inputs)))
    for number, item in enumerate(inputs):
        key = referenced_key(item.fact.name, "on_file_")
        if key is not None and key not in orderables:
            raise entry.error(f"unknown orderable {key!r}", ("inputs", number))
        key = referenced_key(item.fact.name, "finding_present_")
        if key is not None and findings is not None and key not in findings:
            raise entry.error(f"unknown finding {key!r}", ("inputs", number))
    program = _program(entry, rule, inputs)
    _check_detail(entry, rule)
    return CompiledRule(rule, inputs, program, entry.switched_off_by_site)


def _validated(entry: Entry) -> Rule:
    try:
        rule = Rule.model_validate(entry.values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = tuple(part for part in first["loc"] if not isinstance(part, str) or not part.startswith("function-"))
        raise entry.error(first["msg"].removeprefix("Value error, "), path) from None
    if rule.enabled and rule.verification == "unverified" and not entry.places[()].file.startswith(SITE):
        raise entry.error("rests on what is not verified, so it ships with `enabled: false`", ("enabled",))
    return rule


def _check_keys(entry: Entry, rule: Rule, orderables: Collection[str], findings: Collection[str] | None) -> None:
    for number, step in enumerate(rule.suggestions):
        if step.orderable not in orderables:
            raise entry.error(f"unknown orderable {step.orderable!r}", ("suggestions", number, "orderable"))
        _all_known(entry, step.for_orders, orderables, "orderable", ("suggestions", number, "for_orders"))
    if rule.trigger.order is not None:
        _all_known(entry, rule.trigger.order.orderable, orderables, "orderable", ("trigger", "order", "orderable"))
    if findings is not None:
        _all_known(entry, rule.trigger.finding, findings, "finding", ("trigger", "finding"))
    if rule.trigger.score is not None and rule.trigger.score not in SCORES:
        raise entry.error(f"unknown score {rule.trigger.score!r}", ("trigger", "score"))


def _all_known(
    entry: Entry, keys: Collection[str], known: Collection[str], what: str, path: tuple[str | int, ...]
) -> None:
    for number, key in enumerate(keys):
        if key not in known:
            raise entry.error(f"unknown {what} {key!r}", (*path, number))


def _input(entry: Entry, rule: Rule, number: int) -> CompiledInput:
    given = rule.inputs[number]
    fact = fact_named(given.name)
    if fact is None:
        raise entry.error(f"unknown fact {given.name!r}; docs/rules.md lists the facts", ("inputs", number))
    scopes = {"any", "finding" if rule.trigger.finding else "", "order" if rule.trigger.order is not None else ""}
    if fact.scope not in scopes:
        raise entry.error(f"{fact.name!r} is known only to rules with a trigger {fact.scope!r}", ("inputs", number))
    within = None if given.within_days is None else timedelta(days=given.within_days)
    return CompiledInput(fact, within)


def _program(entry: Entry, rule: Rule, inputs: tuple[CompiledInput, ...]) -> cel.Program:
    path = ("condition",)
    try:
        program = cel.compile(rule.condition)
    except ValueError as error:
        raise entry.error(f"not CEL: {' '.join(str(error).split())}", path) from None
    declared = {item.fact.name for item in inputs}
    for name in sorted(set(program.variables()) - declared - set(_BOUND.findall(rule.condition))):
        raise entry.error(f"{name!r} is not among the inputs", path)
    for sample in range(2):
        values = {item.fact.name: _SAMPLES[item.fact.kind][sample] for item in inputs}
        try:
            result = program.execute(values)
        except _CEL_ERRORS as error:
            raise entry.error(f"cannot be evaluated: {' '.join(str(error).split())}", path) from None
        if not isinstance(result, bool):
            raise entry.error("does not say true or false", path)
    return program


def _check_detail(entry: Entry, rule: Rule) -> None:
    declared = {item.name for item in rule.inputs}
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(rule.detail) if name is not None}
    except ValueError as error:
        raise entry.error(str(error), ("detail",)) from None
    for name in sorted(names - declared):
        raise entry.error(f"{{{name}}} is not among the inputs", ("detail",))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("_", " ")
