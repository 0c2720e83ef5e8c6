"""HL7 v2 feeds over MLLP: reports (ORU) and patient merges (ADT), in the order of the data.

    message.py       bytes -> segments and fields, whatever the character set
    reports.py       ORU^R01 -> header and text of each report in it
    patients.py      ADT -> merges of record numbers, corrected birth date and sex
    feed.py          one message -> stored -> its acknowledgement
    listener.py      the port: blocks, limits, TLS

Nothing is acknowledged before it is stored. Knows no model and no card.
"""

from __future__ import annotations

from cds.hl7.feed import Feed

__all__ = ["Feed"]
