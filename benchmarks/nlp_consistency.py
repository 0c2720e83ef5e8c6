"""Contradictions found: seeded ones of all five types, and alarms on reports as they were written.

    python benchmarks/nlp_consistency.py --data DIR

DIR holds `openi/reports.csv`. Each seed is one change to a real report, or one fact of its patient or
order, that makes it contradict itself; a seed counts as found when its type is among the results.
Reports that raise an alarm before the change are not seeded with that type.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from nlp import Extractor, ReportContext, StructuredReport, Vocabulary
from nlp.evaluation import CodedReport, read_openi
from nlp.training.splits import part_of

LEXICON = Path(__file__).parents[1] / "configs" / "lexicon"
HEADING = "\nIMPRESSION:"
SIDE = re.compile(r"\b(?:left|right)\b", re.IGNORECASE)
OTHER = {"left": "right", "right": "left"}
SAID = ("present", "possible")
EXAMS = [
    ("CT chest with contrast", "EXAM: CT chest without contrast"),
    ("CT abdomen and pelvis without contrast", "TECHNIQUE: CT images after administration of IV contrast."),
    ("XR chest 2 views", "EXAM: CT of the chest"),
    ("Chest radiograph PA and lateral", "TECHNIQUE: Single portable AP view of the chest."),
    ("MRI brain", "EXAM: MRI of the lumbar spine"),
    ("US abdomen complete", "EXAM: Limited abdominal ultrasound"),
    ("US renal limited", "EXAM: Complete renal ultrasound"),
    ("XR ankle", "EXAM: Knee radiographs, 3 views"),
    ("CT head", "EXAM: MRI of the head"),
    ("Screening mammogram", "EXAM: Breast ultrasound"),
]
PEOPLE = [
    ("INDICATION: {age}-year-old {sex} with cough.", "woman", "man"),
    ("INDICATION: {age} yo {sex}, dyspnea", "female", "male"),
    ("HISTORY: {age}{sex} with fever", "F", "M"),
    ("CLINICAL HISTORY: The patient is a {age} year old {sex}.", "lady", "gentleman"),
]
ORGANS = {
    "male": ["Hysterectomy clips in the pelvis.", "Uterine fibroid.", "The patient is pregnant."],
    "female": ["Enlarged prostate.", "Brachytherapy seeds of the prostate.", "Testicular calcification."],
}
CLAIMS = [
    ("pneumothorax", "Large right pneumothorax."),
    ("pneumothorax", "Small left apical pneumothorax."),
    ("pleural_effusion", "Moderate left pleural effusion."),
    ("pneumonia", "Right lower lobe pneumonia."),
    ("lung_mass", "3 cm mass in the left upper lobe."),
    ("cardiomegaly", "Moderate cardiomegaly."),
    ("consolidation", "Left lower lobe consolidation."),
    ("fracture", "Acute displaced fracture of the left sixth rib."),
]
DENIALS = [
    ("pneumothorax", "There is a large right pneumothorax.", "No pneumothorax."),
    ("pleural_effusion", "There is a moderate left pleural effusion.", "No pleural effusion."),
    ("pneumothorax", "There is a left pneumothorax.", "No acute cardiopulmonary abnormality."),
]

Seed = tuple[str, str, ReportContext]


def swapped_impression(report: CodedReport, read: StructuredReport) -> Iterator[Seed]:
    """The side of a finding that findings and impression agree on, exchanged in the impression where it is a word."""
    findings, heading, impression = report.text.partition(HEADING)
    sides: dict[tuple[str, str], set[str | None]] = {}
    for mention in read.findings:
        if mention.assertion in SAID:
            sides.setdefault((mention.finding, mention.section), set()).add(mention.laterality)
    for finding, section in sides:
        side = sides[finding, section]
        if section != "findings" or side not in ({"left"}, {"right"}) or sides.get((finding, "impression")) != side:
            continue
        places = [m for m in read.findings if m.finding == finding and m.section == "impression"]
        words = report.text[max(0, places[0].start - 40) : places[0].end + 40].casefold()
        if not SIDE.search(impression) or "lingula" in words:
            continue
        swapped = SIDE.sub(lambda match: OTHER[match.group().lower()], impression)
        yield "swapped side", findings + heading + swapped, ReportContext()
        return


def ordered_side(report: CodedReport, number: int) -> Iterator[Seed]:
    """An order for the side that the report never names."""
    named = {side.lower() for side in SIDE.findall(report.text)}
    if len(named) == 1 and not re.search(r"\b(?:bilateral|both)\b", report.text, re.IGNORECASE):
        side = OTHER[named.pop()]
        context = ReportContext(laterality=side) if number % 2 else ReportContext(ordered_exam=f"XR {side} shoulder")
        yield "ordered side", report.text, context


def person(report: CodedReport, number: int) -> Iterator[Seed]:
    """An indication of another sex, an organ of another sex, an indication of another age."""
    line, female, male = PEOPLE[number % len(PEOPLE)]
    age = 20 + number % 60
    text = f"{line.format(age=age, sex=female)}\n{report.text}"
    yield "stated sex", text, ReportContext(sex="male")
    yield "stated sex", f"{line.format(age=age, sex=male)}\n{report.text}", ReportContext(sex="F")
    yield "stated age", text, ReportContext(age=age + (9 if number % 2 else -8), sex="female")
    sex = "male" if number % 2 else "female"
    yield "organ", f"{report.text} {ORGANS[sex][number % 3]}", ReportContext(sex=sex)


def order(report: CodedReport, number: int) -> Iterator[Seed]:
    """An order that differs from the described examination in modality, region, contrast, extent or views."""
    ordered, title = EXAMS[number % len(EXAMS)]
    yield "ordered exam", f"{title}\n{report.text}", ReportContext(ordered_exam=ordered)


def unsupported(report: CodedReport, number: int) -> Iterator[Seed]:
    """A conclusion that the findings of a normal report do not bear, or one that passes over what they describe."""
    findings, heading, _ = report.text.partition(HEADING)
    if not report.normal or not heading or len(findings.split()) < 15:
        return
    _, claim = CLAIMS[number % len(CLAIMS)]
    yield "unsupported", f"{findings}{HEADING} {claim}", ReportContext()
    _, described, denial = DENIALS[number % len(DENIALS)]
    opening, _, rest = findings.partition(" ")
    yield "passed over", f"{opening} {described} {rest}{HEADING} {denial}", ReportContext()


KINDS = {
    "swapped side": "laterality",
    "ordered side": "laterality",
    "stated sex": "sex",
    "organ": "sex",
    "stated age": "age",
    "ordered exam": "order",
    "unsupported": "unsupported_impression",
    "passed over": "unsupported_impression",
}


def evaluate(extractor: Extractor, reports: Sequence[CodedReport], every: int) -> dict[str, Any]:
    """Seeds found by kind and type in every so many reports, and alarms on all as they are."""
    seeded: Counter[str] = Counter()
    found: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    for number, report in enumerate(reports):
        read = extractor.extract(report.text)
        before = {item.type for item in read.inconsistencies}
        alarms.update(item.type for item in read.inconsistencies)
        if number % every:
            continue
        seeds = [
            *swapped_impression(report, read),
            *ordered_side(report, number),
            *person(report, number),
            *order(report, number),
            *unsupported(report, number),
        ]
        for kind, text, context in seeds:
            if read.refusal is None and KINDS[kind] not in before:
                seeded[kind] += 1
                results = extractor.extract(text, context).inconsistencies
                found[kind] += any(item.type == KINDS[kind] for item in results)
    types = {kind: sum(seeded[name] for name in KINDS if KINDS[name] == kind) for kind in set(KINDS.values())}
    return {
        "reports": len(reports),
        "seeds": {kind: {"seeded": seeded[kind], "found": found[kind]} for kind in KINDS},
        "found_by_type": {
            kind: round(sum(found[name] for name in KINDS if KINDS[name] == kind) / count, 4)
            for kind, count in sorted(types.items())
            if count
        },
        "found": round(sum(found.values()) / sum(seeded.values()), 4),
        "alarms": dict(alarms),
        "alarms_per_500_reports": round(500 * sum(alarms.values()) / len(reports), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=["development", "validation"], action="append")
    parser.add_argument("--every", type=int, default=1, help="seed every so many reports only")
    options = parser.parse_args()
    documents = {file.name: yaml.safe_load(file.read_text("utf-8")) for file in sorted(LEXICON.glob("*.yaml"))}
    extractor = Extractor(Vocabulary.from_documents(documents))
    coded = read_openi(options.data / "openi")
    parts = options.part or ["development", "validation"]
    result = {
        part: evaluate(extractor, [one for one in coded if part_of(one.text) == part], options.every) for part in parts
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
