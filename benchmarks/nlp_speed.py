"""Reports per second of the extractor, and its memory, on Open-i reports: one process, warm.

    python benchmarks/nlp_speed.py --data DIR [--reports 2000] [--memory 100000]

With medspaCy installed in the environment, its default pipeline with 14 targets runs in the same
process for comparison.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from nlp import Extractor, Vocabulary
from nlp.evaluation import OPENI_LABELS, read_openi

LEXICON = Path(__file__).parents[1] / "configs" / "lexicon"


def packaged_vocabulary() -> Vocabulary:
    """The vocabulary of this repository."""
    return Vocabulary.from_documents(
        {file.name: yaml.safe_load(file.read_text("utf-8")) for file in sorted(LEXICON.glob("*.yaml"))}
    )


def reports_per_second(read: Callable[[str], object], texts: list[str]) -> float:
    """The best of three passes after one to warm up."""
    rates = []
    for attempt in range(4):
        start = time.perf_counter()
        for text in texts:
            read(text)
        if attempt:
            rates.append(len(texts) / (time.perf_counter() - start))
    return max(rates)


def medspacy_reader() -> Callable[[str], object] | None:
    """medspaCy's default pipeline with the Open-i names as targets, where it is installed."""
    if importlib.util.find_spec("medspacy") is None:
        return None
    import medspacy
    from medspacy.ner import TargetRule

    pipeline = medspacy.load()
    names = [*(column.replace("_", " ").lower() for column in OPENI_LABELS), "hernia"]
    pipeline.get_pipe("medspacy_target_matcher").add([TargetRule(name, "FINDING") for name in names])
    return pipeline


def resident_mib() -> float:
    """Peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory_growth(extractor: Extractor, texts: list[str], count: int) -> dict[str, float]:
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
    options = parser.parse_args()
    texts = [report.text for report in read_openi(options.data)][: options.reports]
    extractor = Extractor(packaged_vocabulary(), learned=False)
    result: dict[str, object] = {
        "reports": len(texts),
        "rules_per_second": round(reports_per_second(extractor.extract, texts)),
    }
    other = medspacy_reader()
    if other is not None:
        result["medspacy_per_second"] = round(reports_per_second(other, texts))
    if options.memory:
        result["memory"] = memory_growth(extractor, texts, options.memory)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
