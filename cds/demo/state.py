"""What a demo remembers in its data folder: its first start, and the identifiers that hang on it.

A second start finds the same identifiers, so the film and the report it sends are those already stored.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from cds.errors import DemoError

_STATE = "demo.json"
_SHOWN = "demo-shown.json"
_AGE_YEARS = 66


@dataclass(frozen=True)
class DemoState:
    """One demo, as its data folder holds it."""

    folder: Path
    seed: uuid.UUID
    started_at: datetime

    @classmethod
    def of(cls, folder: Path) -> DemoState:
        """Return the demo of a data folder, made now if there is none.

        Raises DemoError when the folder holds something else, so that a site's data never meet demo data.
        """
        file = folder / _STATE
        if file.is_file():
            try:
                known = json.loads(file.read_text(encoding="utf-8"))
                return cls(folder, uuid.UUID(known["seed"]), datetime.fromisoformat(known["started_at"]))
            except (ValueError, KeyError, TypeError):
                raise DemoError(f"{file} is damaged; remove the folder to start the demo anew") from None
        if folder.exists() and any(folder.iterdir()):
            raise DemoError(f"{folder} is not a demo's data folder; choose another with --data-dir")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = cls(folder, uuid.uuid4(), datetime.now(UTC).replace(microsecond=0))
        _write(file, {"seed": str(state.seed), "started_at": state.started_at.isoformat()})
        return state

    @property
    def birth_date(self) -> date:
        """The demo patient's birth date."""
        return date(self.started_at.year - _AGE_YEARS, 1, 1)

    @property
    def age(self) -> int:
        return _AGE_YEARS

    @property
    def accession(self) -> str:
        return f"RD{self.seed.int % 10**8:08d}"

    def uid(self, kind: str) -> str:
        """Return the DICOM UID of a study, series or instance of this demo (PS3.5 annex B.2)."""
        return f"2.25.{uuid.uuid5(self.seed, kind).int}"

    def shown(self) -> dict[str, Any] | None:
        """Return what an earlier start has shown to its end, or None."""
        file = self.folder / _SHOWN
        try:
            return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        except ValueError:
            return None

    def remember(self, shown: dict[str, Any]) -> None:
        """Keep what was shown, so that a later start need not repeat it."""
        _write(self.folder / _SHOWN, shown)


def _write(file: Path, document: dict[str, Any]) -> None:
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(document), encoding="utf-8")
    unfinished.replace(file)
