"""What every test may ask for: the shared development data, where they are present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of the shared development data; skips where it is absent."""
    folder = Path(os.environ.get("CDS_SHARED_DATA", _BESIDE_THE_CHECKOUT))
    if not folder.is_dir():
        pytest.skip("the shared development data are absent; set CDS_SHARED_DATA to their folder")
    return folder
