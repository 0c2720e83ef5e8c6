"""The store: what arrived, what was made of it, and what people said of it. One database, one folder of blobs.

    tables.py    the tables
    database.py  engine, transactions, migrations
    blobs.py     files, written and synced before anything is acknowledged
    films.py     radiographs and their results
    reports.py   reports and their results
    cards.py     cards shown, feedback, replayed tokens
    ledger.py    open follow-ups and the latest assessments
    patients.py  who a patient is to other systems
    subscriptions.py  events of results, and who is told of them
    repeats.py   answers to requests that may come again

Knows no web and no model.
"""

from __future__ import annotations

from cds.store.blobs import BlobFolder
from cds.store.database import Database

__all__ = ["BlobFolder", "Database"]
