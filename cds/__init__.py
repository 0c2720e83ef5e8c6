"""Everything of Roentgen CDS that faces the outside: hooks, REST, DICOM, FHIR, store, jobs, pages, command line.

Data flow one way: in -> store -> work -> answer -> out. `cds` imports `fusion`, `vision` and `nlp`; none of them
imports `cds`.
"""

from __future__ import annotations

__version__ = "0.1.0"
