"""Who is who in projects of de-identified data

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import cds.store.tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pseudonym",
        sa.Column("project", sa.String(length=40), nullable=False),
        sa.Column("pseudonym", sa.String(length=16), nullable=False),
        sa.Column("identity", sa.String(length=600), nullable=False),
        sa.Column("made_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("project", "pseudonym", name=op.f("pk_pseudonym")),
    )


def downgrade() -> None:
    op.drop_table("pseudonym")
