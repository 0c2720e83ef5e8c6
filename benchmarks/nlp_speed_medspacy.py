"""Reports per processor second of medspaCy's default pipeline; run by `nlp_speed.py` with an interpreter that has it.

Standard input: a JSON object with `texts` and `targets`. Standard output: a JSON object with the rate of
the best of three passes after one to warm up, and the versions.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import sys
import time


def main() -> None:
    import medspacy
    from loguru import logger
    from medspacy.ner import TargetRule

    logging.disable(logging.WARNING)
    logger.remove()
    given = json.load(sys.stdin)
    pipeline = medspacy.load()
    pipeline.get_pipe("medspacy_target_matcher").add([TargetRule(name, "FINDING") for name in given["targets"]])
    rates = []
    for attempt in range(4):
        start = time.process_time()
        for text in given["texts"]:
            pipeline(text)
        if attempt:
            rates.append(len(given["texts"]) / (time.process_time() - start))
    versions = {name: importlib.metadata.version(name) for name in ("medspacy", "spacy")}
    print(json.dumps({"per_second": round(max(rates), 1), **versions}))


if __name__ == "__main__":
    main()
