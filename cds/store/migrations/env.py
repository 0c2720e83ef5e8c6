"""Alembic's entry: runs the migrations on the connection that the database hands in."""

from __future__ import annotations

from alembic import context

from cds.store import browser_tables as _browser_tables  # noqa: F401 - its tables belong to the metadata
from cds.store import deidentified_tables as _deidentified_tables  # noqa: F401 - its tables belong to the metadata
from cds.store import exchange_tables as _exchange_tables  # noqa: F401 - its tables belong to the metadata
from cds.store import pacs_tables as _pacs_tables  # noqa: F401 - its tables belong to the metadata
from cds.store import reading_tables as _reading_tables  # noqa: F401 - its tables belong to the metadata
from cds.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
