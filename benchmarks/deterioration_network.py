"""What a recurrent network adds to the trees of the risk of in-hospital death, alone and averaged, in the same folds.

    python benchmarks/deterioration_network.py --data DIR [--seeds 3] [--weight 0.5]

DIR holds set_NAME.parquet and outcomes_NAME.csv. A gated recurrent unit reads 48 hourly bins: of each series the last
known value, whether it was measured in the hour, and how long ago. Needs `pip install 'roentgen-cds[train]'`. The
network is not packaged.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deterioration_learning import Array, figures, out_of_fold
from torch import nn
from torch.nn import functional

from fusion.evaluation.stays import Cohort, read_cohorts
from fusion.risks.boosters import Boosters
from fusion.risks.deterioration_features import with_derived
from fusion.training.deterioration import WHOLE, Copies, Recipe, fit_stage

HOURS = 48
_MERGED = {"SysABP", "DiasABP", "MAP", "NISysABP", "NIDiasABP", "NIMAP"}
"""Pressures that stand in the merged series."""
_EPOCHS, _BATCH, _RATE, _WIDTH, _DROPOUT, _HIDDEN_SERIES, _FORGETS = 12, 128, 2e-3, 48, 0.5, 0.3, 8.0
_FIRST_JUDGED = 3
Tensor = Any


def hourly(cohorts: Sequence[Cohort]) -> tuple[Array, Array]:
    """Return (stays, hours, series) means, of urine sums, NaN where nothing was measured; and (stays, descriptors)."""
    tables, described = [], []
    for cohort in cohorts:
        stays = cohort.stays
        count = len(stays.records)
        series = {name: rows for name, rows in with_derived(stays.series) if name not in _MERGED}
        table = np.full((count, HOURS, len(series)), np.nan, np.float32)
        for number, (name, (stay, minute, value)) in enumerate(series.items()):
            key = stay * HOURS + np.minimum((minute // 60).astype(int), HOURS - 1)
            found = np.bincount(key, minlength=count * HOURS)
            total = np.bincount(key, value, minlength=count * HOURS)
            divided = total / (np.maximum(found, 1) if name != "Urine" else 1)
            table[:, :, number] = np.where(found > 0, divided, np.nan).reshape(count, HOURS)
        tables.append(table)
        known = stays.descriptors
        unit = [(known["ICUType"] == kind).astype(float) for kind in (1, 2, 3, 4)]
        described.append(np.column_stack([known["Age"], known["Gender"], known["Height"], *unit]))
    return np.concatenate(tables), np.concatenate(described).astype(np.float32)


def tensors(table: Array, described: Array, train: Array) -> tuple[Tensor, Tensor]:
    """Return what the network reads, scaled by the training stays: value, whether measured, how recent; descriptors."""
    count, _, series = table.shape
    hours = np.arange(HOURS)
    read = np.zeros((count, HOURS, 3 * series), np.float32)
    for number in range(series):
        value, known = table[:, :, number], table[train, :, number]
        known = known[~np.isnan(known)]
        low, middle, high = np.percentile(known, [0.5, 50, 99.5])
        if middle > 0 and high - middle > 3 * (middle - low):
            value, known = np.log1p(np.maximum(value, 0)), np.log1p(np.maximum(known, 0))
        value = np.clip((value - np.median(known)) / max(known.std(), 1e-3), -4, 4)
        measured = ~np.isnan(value)
        last = np.maximum.accumulate(np.where(measured, hours, -1), axis=1)
        held = np.take_along_axis(value, np.maximum(last, 0), 1)
        read[:, :, number] = np.where(last >= 0, held, 0)
        read[:, :, series + number] = measured
        read[:, :, 2 * series + number] = np.where(last >= 0, np.exp(-(hours - last) / _FORGETS), 0)
    scaled = (described - np.nanmean(described[train], 0)) / (np.nanstd(described[train], 0) + 1e-6)
    without_height = np.isnan(described[:, 2])
    return torch.tensor(read), torch.tensor(np.column_stack([np.nan_to_num(scaled), without_height]).astype(np.float32))


class Network(nn.Module):  # type: ignore[misc]
    """A gated recurrent unit; log-odds of the whole stay, and of each hour."""

    def __init__(self, series: int, descriptors: int) -> None:
        super().__init__()
        self.enter, self.norm = nn.Linear(series + descriptors, _WIDTH), nn.LayerNorm(_WIDTH)
        self.unit = nn.GRU(_WIDTH, _WIDTH, batch_first=True)
        self.attention = nn.Linear(_WIDTH, 1)
        self.whole = nn.Sequential(
            nn.Linear(4 * _WIDTH + descriptors, _WIDTH), nn.GELU(), nn.Dropout(_DROPOUT), nn.Linear(_WIDTH, 1)
        )
        self.hour = nn.Linear(_WIDTH, 1)

    def forward(self, read: Tensor, described: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([read, described[:, None].expand(-1, read.shape[1], -1)], -1)
        entered = functional.dropout(functional.gelu(self.norm(self.enter(both))), _DROPOUT / 2, self.training)
        states, _ = self.unit(entered)
        by_hour = self.hour(functional.dropout(states, _DROPOUT, self.training))[..., 0]
        attended = (torch.softmax(self.attention(states), 1) * states).sum(1)
        pooled = torch.cat([states[:, -1], states.mean(1), states.max(1)[0], attended, described], -1)
        return self.whole(functional.dropout(pooled, _DROPOUT, self.training))[..., 0], by_hour


def trained(read: Tensor, described: Tensor, outcome: Array, train: Array, seed: int) -> Network:
    """Return a network trained on some stays; series and descriptors are hidden at random."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    series = read.shape[2] // 3
    network = Network(read.shape[2], described.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-2)
    batches = -(-len(train) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=batches * _EPOCHS, pct_start=0.2)
    target = torch.tensor(outcome.astype(np.float32))
    for _ in range(_EPOCHS):
        for rows in map(torch.as_tensor, np.array_split(random.permutation(train), batches)):
            shown = (torch.rand(len(rows), 1, series) > _HIDDEN_SERIES).float().repeat(1, 1, 3)
            about = described[rows].clone()
            about[:, 1:] *= (torch.rand(len(rows), 1) > 0.2).float()
            whole, by_hour = network(read[rows] * shown, about)
            judged = by_hour[:, _FIRST_JUDGED:]
            loss = functional.binary_cross_entropy_with_logits(whole, target[rows])
            each = target[rows, None].expand(-1, judged.shape[1])
            loss = loss + 0.5 * functional.binary_cross_entropy_with_logits(judged, each)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    network.eval()
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--weight", type=float, default=0.5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cohorts = read_cohorts(given.data)
    copies, recipe = Copies(cohorts), Recipe()
    outcome = copies.outcome
    table, described = hourly(cohorts)
    whole: Any = copies.at(WHOLE)
    numbers = itertools.count()

    def by_trees(train: Array, test: Array) -> Array:
        boosters = fit_stage(recipe.stages[-1], copies, outcome, np.sort(train), recipe.seed)
        return Boosters(boosters, 1.0, 0.0).log_odds(whole.iloc[test])

    def by_networks(train: Array, test: Array) -> Array:
        inputs = tensors(table, described, train)
        first = 100 * next(numbers)
        networks = [trained(*inputs, outcome, np.sort(train), first + seed) for seed in range(given.seeds)]
        shown = [part[torch.as_tensor(test)] for part in inputs]
        with torch.no_grad():
            return np.mean([network(*shown)[0].numpy() for network in networks], axis=0)

    trees = out_of_fold(outcome, by_trees)
    networks = out_of_fold(outcome, by_networks)
    joined = trees + given.weight * networks
    for name, score in (("trees", trees), ("networks", networks), ("trees and networks", joined)):
        print(json.dumps({name: figures(outcome, score)}), flush=True)
    print(json.dumps({"joined minus trees, paired": figures(outcome, joined, trees)}))


if __name__ == "__main__":
    main()
