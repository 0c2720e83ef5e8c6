"""The facts that conditions may name: each with its CEL type, what it means and how it is found.

Names carry their unit. A fact that cannot be found is missing, and a rule that declares it is not evaluable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from fusion.record.codes import ALLERGY_KEYS, CONDITION_KEYS, MEDICATION_KEYS
from fusion.record.units import QUANTITIES
from fusion.rules import record_facts as record
from fusion.rules import trigger_facts as trigger
from fusion.rules.record_facts import Find
from fusion.scores.registry import SCORES

Kind = Literal["bool", "int", "double", "string", "list<double>", "list<string>"]
Scope = Literal["any", "finding", "order"]


@dataclass(frozen=True)
class Fact:
    """One fact.

    scope  "finding" and "order" facts exist only in rules with that trigger
    """

    name: str
    kind: Kind
    text: str
    find: Find
    scope: Scope = "any"


@dataclass(frozen=True)
class Family:
    """Facts whose name ends in a key: `condition_recorded_diabetes`."""

    prefix: str
    kind: Kind
    text: str
    finder: Callable[[str], Find]
    keys: Collection[str] | None

    def fact(self, name: str) -> Fact | None:
        key = name.removeprefix(self.prefix)
        if not key or key == name or (self.keys is not None and key not in self.keys):
            return None
        return Fact(name, self.kind, self.text.format(key=key.replace("_", " ")), self.finder(key))


_FACTS: Mapping[str, Fact] = {
    fact.name: fact
    for fact in (
        Fact("age_years", "int", "completed years", record.age_years),
        Fact("sex", "string", "administrative gender: male, female, other, unknown", record.sex),
        Fact(
            "pregnancy",
            "string",
            "pregnant, not_pregnant or possible, as recorded; not_expected in men and outside 12 to 55 years",
            record.pregnancy,
        ),
        Fact("pregnancy_on_file", "bool", "a pregnancy status or a recent test is recorded", record.pregnancy_on_file),
        Fact("smoking_status", "string", "current, former or never", record.smoking_status),
        Fact("egfr", "double", "mL/min/1.73 m2, reported or by CKD-EPI 2021, at most 30 days old", record.egfr),
        Fact(
            "contrast_reaction",
            "string",
            "worst earlier reaction to iodinated contrast: mild, moderate, severe, not_stated, none_recorded",
            record.contrast_reaction,
        ),
        Fact("care_setting", "string", "icu, emergency, inpatient or outpatient, now", record.care_setting),
        Fact("report_status", "string", "preliminary, final, amended or corrected", trigger.report_status),
        Fact("report_modality", "string", "what was examined (XR, CT, ...), or not_stated", trigger.report_modality),
        Fact(
            "chest_imaging_days_before",
            "list<double>",
            "days between the report (or film) and earlier chest imaging on file",
            trigger.chest_imaging_days_before,
        ),
        *(
            Fact(f"finding_{name}", "string", f"{text}, or not_stated", trigger.finding_text(name), "finding")
            for name, text in (
                ("key", "key of the finding that triggered the rule"),
                ("source", "report or image"),
                ("assertion", "present or possible"),
                ("change", "new, worse, stable, better or resolved, as the report says"),
                ("laterality", "left, right or bilateral"),
                ("severity", "severity in the report's words"),
                ("location", "lobe, zone or bone in the report's words"),
            )
        ),
        Fact("finding_size_mm", "double", "longest axis of the largest, now", trigger.finding_size, "finding"),
        *(
            Fact(f"order_{name}", "string", f"{name} of the order, or not_stated", trigger.order_text(name), "order")
            for name in ("orderable", "modality", "region", "contrast", "laterality")
        ),
        Fact("order_reason", "string", "reason text of the drafted order", trigger.order_reason, "order"),
        Fact(
            "order_reason_conditions",
            "list<string>",
            "condition keys of the reason codes of the drafted order",
            trigger.order_reason_conditions,
            "order",
        ),
        Fact("same_exam_hours", "list<double>", "hours since the same examination", trigger.same_exam_hours, "order"),
        Fact(
            "same_region_days",
            "list<double>",
            "days since examinations of the same modality and region were done",
            trigger.same_region_days,
            "order",
        ),
        Fact(
            "follow_up_opens_in_days",
            "list<double>",
            "days until the window opens of open follow-ups that the drafted examination stands for",
            trigger.follow_up_opens_in_days,
            "order",
        ),
    )
}  # fmt: skip

_FAMILIES: tuple[Family, ...] = (
    Family("condition_recorded_", "bool", "an active problem: {key}", record.condition_recorded, CONDITION_KEYS),
    Family("medication_recorded_", "bool", "in use: {key}", record.medication_recorded, MEDICATION_KEYS),
    Family("allergy_recorded_", "bool", "allergy to {key}", record.allergy_recorded, ALLERGY_KEYS),
    Family("on_file_", "bool", "done within `within_days`: {key}", record.on_file, None),
    Family("report_score_", "string", "category stated in the report: {key}", trigger.report_score, None),
    Family("finding_present_", "bool", "in the report, else on the film: {key}", trigger.finding_present, None),
    Family("score_value_", "double", "score, all inputs known: {key}", lambda key: trigger.score(key, "value"), SCORES),
    Family("score_minimum_", "double", "lowest possible: {key}", lambda key: trigger.score(key, "minimum"), SCORES),
    Family("score_maximum_", "double", "highest possible: {key}", lambda key: trigger.score(key, "maximum"), SCORES),
    Family("score_possible_", "list<string>", "every possible result: {key}", trigger.possible_results, SCORES),
    Family("score_band_", "string", "band or decision: {key}", lambda key: trigger.score(key, "band"), SCORES),
)  # fmt: skip


def fact_named(name: str) -> Fact | None:
    """Return the fact of a name, or None when there is no such fact."""
    if name in _FACTS:
        return _FACTS[name]
    if name in QUANTITIES:
        return Fact(name, "double", f"newest value in {QUANTITIES[name].unit}", record.measured(name))
    return next((fact for family in _FAMILIES if (fact := family.fact(name)) is not None), None)


def described() -> Iterator[tuple[str, str, str]]:
    """Yield (name, type, meaning) of every fact and family."""
    for fact in _FACTS.values():
        yield fact.name, fact.kind, fact.text
    for family in _FAMILIES:
        yield f"{family.prefix}<key>", family.kind, family.text.format(key="<key>")
    for key, quantity in QUANTITIES.items():
        yield key, "double", f"newest value in {quantity.unit}"


def referenced_key(name: str, prefix: str) -> str | None:
    """Return the key at the end of a fact's name, if it is of the family with this prefix."""
    return name.removeprefix(prefix) if name.startswith(prefix) and name not in _FACTS else None
