"""Reports per processor second of the extractor beside medspaCy, and its memory, on Open-i: one process each, warm.

    python benchmarks/nlp_speed.py --data DIR [--reports 2000] [--memory 100000] [--medspacy-python PATH]

DIR holds `reports.csv`. medspaCy needs an older spaCy, so it runs in an environment of its own
(`python -m venv E && E/bin/pip install medspacy`), named by its interpreter: the rules are measured before
and after it on the same texts in the same run. Without it, only the rules are. Processor time, so that other
work on the machine does not count.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from nlp import Extractor, Vocabulary
from nlp.evaluation import OPENI_LABELS, read_openi

LEXICON = Path(__file__).parents[1] / "configs" / "lexicon"
TARGETS = [*(column.replace("_", " ").lower() for column in OPENI_LABELS), "hernia"]


def packaged_vocabulary() -> Vocabulary:
    """The vocabulary of this repository."""
    return Vocabulary.from_documents(
        {file.name: yaml.safe_load(file.read_text("utf-8")) for file in sorted(LEXICON.glob("*.yaml"))}
    )


def reports_per_second(read: Callable[[str], object], texts: Sequence[str]) -> float:
    """The best of three passes after one to warm up."""
    rates = []
    for attempt in range(4):
        start = time.process_time()
        for text in texts:
            read(text)
        if attempt:
            rates.append(len(texts) / (time.process_time() - start))
    return max(rates)


def medspacy_rate(python: Path, texts: Sequence[str]) -> dict[str, Any]:
    """What `nlp_speed_medspacy.py` prints with another interpreter."""
    script = Path(__file__).with_name("nlp_speed_medspacy.py")
    given = json.dumps({"texts": list(texts), "targets": TARGETS})
    done = subprocess.run([python, script], input=given, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def resident_mib() -> float:
    """Peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory_growth(extractor: Extractor, texts: Sequence[str], count: int) -> dict[str, float]:
    """Peak memory after a tenth of the reports and after all; each report carries words not seen before."""
    marks = {}
    for number, text in enumerate(itertools.islice(itertools.cycle(texts), count)):
        extractor.extract(f"{text} unseen{_letters(number)}")
        if number == count // 10:
            marks["after_tenth_mib"] = resident_mib()
    return {**marks, "after_all_mib": resident_mib(), "strings": len(extractor.pipeline.vocab.strings)}


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with reports.csv of Open-i")
    parser.add_argument("--reports", type=int, default=2000)
    parser.add_argument("--memory", type=int, default=0, help="also read this many reports and print the memory")
    parser.add_argument("--medspacy-python", type=Path, help="interpreter of an environment with medspaCy")
    options = parser.parse_args()
    texts = [report.text for report in read_openi(options.data) if report.text][: options.reports]
    extractor = Extractor(packaged_vocabulary())
    rates = [reports_per_second(extractor.extract, texts)]
    result: dict[str, Any] = {"reports": len(texts)}
    if options.medspacy_python is not None and options.medspacy_python.is_file():
        result["medspacy"] = medspacy_rate(options.medspacy_python, texts)
        rates.append(reports_per_second(extractor.extract, texts))
        result["times_medspacy"] = round(min(rates) / result["medspacy"]["per_second"], 2)
    result["rules_per_second"] = [round(rate) for rate in rates]
    if options.memory:
        result["memory"] = memory_growth(extractor, texts, options.memory)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
