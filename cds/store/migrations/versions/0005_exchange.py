"""What is exchanged with other systems: patients, decisions on identity, events, subscriptions, repeated requests

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import cds.store.tables

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:


def downgrade() -> None:
    for table in ("patient_alias", "patient", "subscription", "identity_decision", "idempotency_key", "event"):
        op.drop_table(table)
