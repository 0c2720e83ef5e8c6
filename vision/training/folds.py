"""Trains the networks of all folds at once, each in a process of its own with one thread, and says how far they are."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Protocol

import torch

Say = Callable[[str], None]
Progress = Callable[[int, int], None]
StepProgress = Callable[[int, int, float], None]


class TrainOne(Protocol):
    """Trains the network of one fold into a folder of checkpoints; can be sent to another process."""

    def __call__(self, fold: int, checkpoints: Path, progress: StepProgress) -> object: ...


def train_folds(
    train: TrainOne,
    folds: int,
    checkpoints: Path,
    *,
    workers: int,
    say: Say,
    progress: Progress | None = None,
) -> None:
    """Train every fold. An interruption ends the processes of all folds at once; their checkpoints are whole.

    workers   folds trained at a time
    progress  called with the steps done and those of the whole run; None: `say` tells them
    """
    checkpoints.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        runs = [pool.submit(_train_logged, train, fold, checkpoints) for fold in range(folds)]
        told: dict[int, str] = {}
        try:
            while not all(run.done() for run in runs):
                _tell(checkpoints, folds, told, say if progress is None else None)
                if progress is not None and told:
                    progress(*_steps(told, folds))
                time.sleep(1)
        except BaseException:
            for process in active_children():
                process.terminate()
            raise
        for run in runs:
            run.result()


def _train_logged(train: TrainOne, fold: int, checkpoints: Path) -> None:
    torch.set_num_threads(1)
    log = checkpoints / f"fold{fold}.jsonl"

    def progress(step: int, steps: int, loss: float) -> None:
        if step % 10 == 0 or step == steps:
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"fold": fold, "step": step, "steps": steps, "loss": round(loss, 4)}) + "\n")

    train(fold, checkpoints, progress)


def _tell(checkpoints: Path, folds: int, told: dict[int, str], say: Say | None) -> None:
    for fold in range(folds):
        log = checkpoints / f"fold{fold}.jsonl"
        last = log.read_text("utf-8").splitlines()[-1:] if log.is_file() else []
        if last and told.get(fold) != last[0]:
            told[fold] = last[0]
            at = json.loads(last[0])
            if say is not None:
                say(f"fold {fold}: step {at['step']} of {at['steps']}, loss {at['loss']}")


def _steps(told: dict[int, str], folds: int) -> tuple[int, int]:
    """Return the steps done and those of all folds, by the last line of each fold that has begun."""
    lines = [json.loads(line) for line in told.values()]
    return sum(line["step"] for line in lines), max(line["steps"] for line in lines) * folds
