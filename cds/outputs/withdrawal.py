"""The withdrawal: a rejection note for objects that are not valid any more, a key object selection (IHE RAD IOCM)."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from cds.outputs.source import Source, own_scheme, stamped

_SERIES_NUMBER = 9105


def withdrawal_of(source: Source, objects: Sequence[Dataset]) -> Dataset:
    """Return a note that objects of a study, made earlier, are rejected and replaced or taken back."""
    evidence = list(objects)
    selection = KeyObjectSelection(
        document_title=codes.DCM.RejectedForPatientSafetyReasons,
        referenced_objects=evidence,
        description="Corrected or withdrawn by the system that made them",
    )
    made = KeyObjectSelectionDocument(
        evidence=evidence,
        content=selection,
        series_instance_uid=source.series_uid("withdrawal"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=source.instance_uid("withdrawal-" + "-".join(str(made.SOPInstanceUID) for made in evidence)),
        instance_number=source.revision,
        coding_schemes=[own_scheme()],
        manufacturer=source.equipment()["manufacturer"],
    )
    made.SoftwareVersions = list(source.versions())
    return stamped(made, source)
