"""A film and its result -> the objects that go back into its study."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

from pydicom.dataset import Dataset

from cds.outputs.capture import captures
from cds.outputs.presentation import presentation_state
from cds.outputs.report import structured_report
from cds.outputs.segmentation import segmentation
from cds.outputs.source import Source

Kind = Literal["report", "segmentation", "presentation", "capture", "withdrawal"]


@dataclass(frozen=True)
class Made:
    """One object, as it is written."""

    kind: Kind
    dataset: Dataset

    @property
    def sop_instance_uid(self) -> str:
        return str(self.dataset.SOPInstanceUID)

    def written(self) -> bytes:
        """Return the object as a DICOM file."""
        file = io.BytesIO()
        self.dataset.save_as(file, enforce_file_format=True)
        return file.getvalue()


def make_objects(source: Source, *, replaces: Dataset | None = None) -> list[Made]:
    """Return the objects of a film: a report where there is anything to say, the others where there is what they show.

    replaces  the report that the new one corrects
    """
    result = source.result
    if not result.findings and not any(measured.value is not None for measured in result.measurements):
        return []
    made = [Made("report", structured_report(source, replaces))]
    masks, shown = segmentation(source), presentation_state(source)
    if masks is not None:
        made.append(Made("segmentation", masks))
    if shown is not None:
        made.append(Made("presentation", shown))
    return made + [Made("capture", capture) for capture in captures(source)]
