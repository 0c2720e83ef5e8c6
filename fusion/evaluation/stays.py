"""Tables of intensive care stays with their outcomes, as training and evaluation read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusion.errors import EventsError
from fusion.risks.events import Stays, stays_of

OUTCOME = "in_hospital_death"


@dataclass(frozen=True)
class Cohort:
    """Stays of one set with their outcomes, in the order of `stays.records`."""

    name: str
    stays: Stays
    outcome: npt.NDArray[np.int64]

    @property
    def records(self) -> npt.NDArray[Any]:
        return self.stays.records


def read_cohorts(folder: Path, names: tuple[str, ...] | None = None) -> list[Cohort]:
    """Return the sets `set_NAME.parquet` with `outcomes_NAME.csv` of a folder, by name.

    The parquet has columns record, minute, parameter, value; the CSV record and in_hospital_death (0 or 1).
    Raises EventsError when there is none, or a stay has no outcome.
    """
    found = sorted(file.stem.removeprefix("set_") for file in folder.glob("set_*.parquet"))
    chosen = [name for name in found if names is None or name in names]
    if not chosen or (names is not None and len(chosen) < len(names)):
        raise EventsError(f"{folder}: expected set_NAME.parquet for {', '.join(names or ('at least one NAME',))}")
    return [_read(folder, name) for name in chosen]


def _read(folder: Path, name: str) -> Cohort:
    stays = stays_of(pd.read_parquet(folder / f"set_{name}.parquet"))
    try:
        outcomes = pd.read_csv(folder / f"outcomes_{name}.csv").set_index("record")[OUTCOME]
    except (OSError, KeyError) as error:
        raise EventsError(f"outcomes_{name}.csv: expected columns record and {OUTCOME}") from error
    absent = [record for record in stays.records if record not in outcomes.index]
    if absent:
        raise EventsError(f"outcomes_{name}.csv: no outcome for {len(absent)} of {len(stays.records)} stays")
    return Cohort(name, stays, outcomes.loc[stays.records].to_numpy(np.int64))
