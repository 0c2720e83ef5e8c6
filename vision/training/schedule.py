"""What every training run shares: checkpoints that a run goes on from, the averaged weights, the rate of learning."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn


def checkpoint_of(folder: Path, fold: int) -> Path:
    return folder / f"fold{fold}.pt"


def warm_cosine(step: int, steps: int) -> float:
    """Return the rate of learning as a share of its peak: a short rise, then half a cosine."""
    warm = max(1, steps // 20)
    return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights towards those of the network; the first steps count less."""
    keep = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.mul_(keep).add_(value, alpha=1 - keep)
            else:
                mean.copy_(value)


def save(path: Path, network: nn.Module, average: nn.Module, optimiser: Any, schedule: Any, epoch: int) -> None:
    """Write a checkpoint whole or not at all."""
    state = {
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "epoch": epoch,
        "saved_at": time.time(),
    }
    temporary = path.with_suffix(".writing")
    torch.save(state, temporary)
    temporary.replace(path)


def resume(path: Path, network: nn.Module, average: nn.Module, optimiser: Any, schedule: Any) -> int:
    """Return the epoch to go on with, everything brought to where the checkpoint left it; 0 without one."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return int(state["epoch"])
