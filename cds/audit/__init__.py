"""Who touched whose data: an append-only, hash-chained trail in a database of its own, `audit.sqlite3`.

    trail.py     the entries, the chain, verification
    requests.py  one entry for each request over HTTP, written before its answer leaves

Patients are in it by a keyed pseudonym only. Knows no model and no card.
"""

from __future__ import annotations

from cds.audit.requests import AuditMiddleware, note_access
from cds.audit.trail import Access, AuditTrail

__all__ = ["Access", "AuditMiddleware", "AuditTrail", "note_access"]
