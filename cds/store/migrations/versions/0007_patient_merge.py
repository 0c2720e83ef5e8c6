"""Record numbers that were merged

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import cds.store.tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "patient_merge",
        sa.Column("system", sa.String(length=255), nullable=False),
        sa.Column("old", sa.String(length=255), nullable=False),
        sa.Column("new", sa.String(length=255), nullable=False),
        sa.Column("merged_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("system", "old", name=op.f("pk_patient_merge")),
    )
    with op.batch_alter_table("patient_merge", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_patient_merge_new"), ["new"], unique=False)


def downgrade() -> None:
    op.drop_table("patient_merge")
