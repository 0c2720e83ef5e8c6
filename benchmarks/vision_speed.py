"""Speed of the film models: OpenVINO beside eager torch, batches, a folder of films, memory over many films.

    python benchmarks/vision_speed.py networks [--threads 2]      needs the extra `train`
    python benchmarks/vision_speed.py batches [--threads 2]
    python benchmarks/vision_speed.py folder [--films 100] [--threads 2] [DIR]
    python benchmarks/vision_speed.py memory [--films 5000] [--threads 2] [DIR]

`networks` builds the ensemble of the adult model in torch, exports it as `cds train` does, and times both on the same
film in turn; weights are those of ImageNet with heads drawn at random, since a model folder holds no torch weights. The
packaged model is timed beside them. `batches` times the paediatric model with several films at a time. `folder` and
`memory` analyse files as `cds analyze` does; without DIR they are copies of the JPEG 2000 film of 1955 x 1841 in
pydicom-data. `memory` reads the resident memory after every 50 films, tells it on standard error, and gives its slope
over the last four fifths.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from pydicom.data import get_testdata_file

from vision import Analyzer, Technique, analyze_files
from vision.analyze import MODELS
from vision.card import read_card
from vision.prepare import golden_film, views
from vision.result import Box

FILM = "RG1_J2KI.dcm"
EVERY = 50
_KINDS = ("clock_ms", "processor_ms")
ROUNDS = 20


def networks(threads: int) -> dict[str, Any]:
    """Return the times of one film in milliseconds and the largest difference of a score."""
    import torch

    from vision.training.export import export
    from vision.training.network import ChestNetwork, ExportedEnsemble

    torch.set_num_threads(threads)
    card = read_card(MODELS / "adult")
    members = [ChestNetwork(len(card.labels), boxed=True).eval() for _ in range(card.members)]
    with torch.no_grad():  # members that are equal would be run as one
        for weights in (p for member in members for p in member.parameters() if p.requires_grad):
            weights.mul_(1 + 0.02 * torch.randn_like(weights))
    film = views(golden_film(512), card.preparation, Box(x0=0.15, y0=0.1, x1=0.85, y1=0.8))
    count = len(card.preparation.regions)
    eager, alone = ExportedEnsemble(members, count).eval(), list(enumerate(members))
    with tempfile.TemporaryDirectory() as folder:
        export(members, card.preparation.size, Path(folder), views=count, inputs=[film])
        exported = _compiled(Path(folder), threads)
    packaged = _compiled(MODELS / "adult", threads)
    tensor = torch.from_numpy(film)
    with torch.inference_mode():
        difference = np.abs(_scores(eager(tensor)[0].numpy()) - _scores(exported(film)["logits"])).max()
        times = _in_turn(
            {
                "torch_eager": lambda: eager(tensor),
                "torch_eager_one_by_one": lambda: [one(tensor[k * count // len(members)][None]) for k, one in alone],
                "openvino": lambda: exported(film),
                "packaged_adult": lambda: packaged(film),
            }
        )
    faster = {
        name: {kind: round(times[name][kind] / times["openvino"][kind], 2) for kind in _KINDS}
        for name in ("torch_eager", "torch_eager_one_by_one")
    }
    return {
        "threads": threads,
        **times,
        "times_faster_than": faster,
        "largest_difference_of_a_score": round(float(difference), 5),
    }


def batches(threads: int) -> dict[str, Any]:
    """Return milliseconds per film of the paediatric model by how many films it takes at a time."""
    preparation = read_card(MODELS / "paediatric").preparation
    size, film = preparation.size, views(golden_film(512), preparation)
    work: dict[str, Callable[[], Any]] = {}
    for count in (1, 2, 4, 8):
        model = openvino.Core().read_model(MODELS / "paediatric" / "model.xml")
        model.reshape([count, 3, size, size])
        compiled = openvino.Core().compile_model(model, "CPU", _settings(threads))
        many = np.repeat(film, count, 0)
        work[str(count)] = partial(compiled, many)
    times = _in_turn(work)
    each = {count: {kind: round(ms / int(count), 2) for kind, ms in spent.items()} for count, spent in times.items()}
    return {"threads": threads, "each_film": each}


def folder(paths: list[Path], films: int, threads: int) -> dict[str, Any]:
    """Return how many films a second are analysed; the first ones warm up."""
    analyzer = Analyzer(threads=threads)
    _analyse(analyzer, paths, 5)
    clock, processor = time.perf_counter(), time.process_time()
    rejected = sum(1 for rejection in _analyse(analyzer, paths, films) if rejection)
    taken, spent = time.perf_counter() - clock, time.process_time() - processor
    return {
        "threads": threads,
        "films": films,
        "rejected": rejected,
        "films_per_second": round(films / taken, 2),
        "processor_ms_per_film": round(1000 * spent / films, 1),
    }


def memory(paths: list[Path], films: int, threads: int) -> dict[str, Any]:
    """Return the resident memory along a run, and its slope."""
    analyzer, seen = Analyzer(threads=threads), []
    given = islice(cycle(paths), films)
    for number, _ in enumerate(analyze_files(analyzer, given, Technique(assume_adult=True)), 1):
        if number % EVERY == 0:
            seen.append((number, _resident_kib()))
            print(f"{number} films, {seen[-1][1] / 1024:.1f} MiB", file=sys.stderr, flush=True)
    late = np.array(seen[len(seen) // 5 :], float)
    slope = float(np.polyfit(late[:, 0], late[:, 1], 1)[0])
    return {
        "films": films,
        "first_mib": round(seen[0][1] / 1024),
        "last_mib": round(seen[-1][1] / 1024),
        "most_mib": round(max(kib for _, kib in seen) / 1024),
        "slope_kib_per_film": round(slope, 3),
    }


def _analyse(analyzer: Analyzer, paths: list[Path], films: int) -> list[str | None]:
    given = islice(cycle(paths), films)
    results = analyze_files(analyzer, given, Technique(assume_adult=True))
    return [None if result.rejection is None else result.rejection.code for _, result in results]


def _in_turn(work: dict[str, Callable[[], Any]]) -> dict[str, dict[str, float]]:
    """Return the median milliseconds of each, by the clock and of the processor.

    All are measured in turn, so that what else the machine does falls on all of them.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for number in range(ROUNDS + 3):
        for name, run in work.items():
            clock, processor = time.perf_counter(), time.process_time()
            run()
            if number >= 3:
                taken[name].append((time.perf_counter() - clock, time.process_time() - processor))
    return {
        name: dict(
            zip(_KINDS, (round(1000 * statistics.median(part), 2) for part in zip(*pairs, strict=True)), strict=True)
        )
        for name, pairs in taken.items()
    }


def _settings(threads: int) -> dict[str, Any]:
    return {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}


def _compiled(place: Path, threads: int) -> openvino.CompiledModel:
    return openvino.Core().compile_model(place / "model.xml", "CPU", _settings(threads))


def _scores(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _resident_kib() -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise RuntimeError("the kernel does not tell the resident memory")


def _films(place: Path | None) -> Iterator[Path]:
    if place is None:
        yield Path(str(get_testdata_file(FILM, download=False)))
        return
    yield from sorted(path for path in place.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("networks", "batches", "folder", "memory"))
    parser.add_argument("place", type=Path, nargs="?", metavar="DIR")
    parser.add_argument("--films", type=int)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.what == "networks":
        figures = networks(given.threads)
    elif given.what == "batches":
        figures = batches(given.threads)
    elif given.what == "folder":
        figures = folder(list(_films(given.place)), given.films or 100, given.threads)
    else:
        figures = memory(list(_films(given.place)), given.films or 5000, given.threads)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
