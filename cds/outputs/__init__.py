"""What goes back into the study of a film: report, segmentation, presentation state, capture, and their withdrawal.

Each object says that a computer made it, with which models and versions, and has a UID that the same film, result and
kind always give. Knows no network and no database.
"""

from __future__ import annotations

from cds.outputs.making import Made, make_objects
from cds.outputs.source import Source
from cds.outputs.withdrawal import withdrawal_of

__all__ = ["Made", "Source", "make_objects", "withdrawal_of"]
