"""A feed into a store of its own, and messages to send into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cds.arrival import ReportArrivals
from cds.audit import AuditTrail
from cds.audit.trail import AUDIT_FILE
from cds.hl7 import Feed
from cds.site.configuration import IdentityTable
from cds.store import Database
from cds.store.keyring import Keyring

MakeFeed = Callable[[], Feed]


@pytest.fixture
def audit(database: Database, tmp_path: Path) -> Iterator[AuditTrail]:
    trail = AuditTrail(Database(f"sqlite:///{tmp_path}/data/{AUDIT_FILE}"), Keyring(tmp_path / "data").key)
    yield trail
    trail.database.close()


@pytest.fixture
def feed(database: Database, reports: ReportArrivals, identity: IdentityTable, audit: AuditTrail) -> Feed:
    return Feed(database, reports, identity, ZoneInfo("Europe/Berlin"), audit)
