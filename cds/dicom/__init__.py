"""The DICOM network, in the order of the data: receiving, watching and fetching, then sending back.

`receiver` takes associations (C-ECHO, C-STORE, storage commitment) within the limits of `transport`.
Films enter the store by `cds.arrival.films` alone; what is sent back is made by `cds.outputs`.
"""

from __future__ import annotations
