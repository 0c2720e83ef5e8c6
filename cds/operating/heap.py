"""Garbage collection in a process that answers: seldom, and not through what stays."""

from __future__ import annotations

import gc

_NEW_OBJECTS = 50_000
"""Containers made between two looks. A record of 5,000 resources makes twice as many; by default it meets 150 looks."""


def settle() -> None:
    """Leave alone what was loaded, and look for cycles seldom: either would hold up requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
