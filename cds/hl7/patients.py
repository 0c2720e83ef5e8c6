"""ADT -> which record number now stands for which. Knows no store.

Only merges are of interest here; every other event of a registration feed is acknowledged and left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from cds.errors import MessageNotAcceptedError
from cds.hl7.message import Message
from cds.hl7.reports import whose
from cds.site.configuration import IdentityTable

MERGES = frozenset({"A18", "A34", "A39", "A40", "A47"})


@dataclass(frozen=True)
class Merge:
    """That `old` and `new` of one issuer are the same person, `new` the number that is kept."""

    system: str
    old: str
    new: str
    at: datetime


def merges_in(message: Message, identity: IdentityTable, zone: ZoneInfo, *, received: datetime) -> list[Merge]:
    """Return the merges of an ADT message; those of issuers that are not in identity.yaml are none of ours.

    received  stands for the time of the event where EVN-2 and MSH-7 do not say

    Raises MessageNotAcceptedError when a prior number (MRG-1) or the one that is kept (PID-3) is missing.
    """
    event = message.segments("EVN")
    at = (event[0].moment(2, zone) if event else None) or message.first("MSH").moment(7, zone) or received
    merges, patient = [], message.first("PID")
    for segment in message:
        if segment.name == "PID":
            patient = segment
        elif segment.name == "MRG":
            issuer, kept = whose(patient, 3, identity)
            former_issuer, former = whose(segment, 1, identity)
            if not kept or not former:
                raise MessageNotAcceptedError("no_identifier", "a merge needs PID-3 (kept) and MRG-1 (prior)")
            if issuer is not None and issuer == former_issuer and kept != former:
                merges.append(Merge(issuer.system, former, kept, at))
    message.first("MRG")
    return merges
