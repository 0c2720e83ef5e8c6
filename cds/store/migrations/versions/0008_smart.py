"""SMART launches and the sessions they open

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import cds.store.tables

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "smart_launch",
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("browser", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.String(length=2048), nullable=False),
        sa.Column("token_endpoint", sa.String(length=2048), nullable=False),
        sa.Column("verifier", sa.String(length=128), nullable=False),
        sa.Column("begun_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("state", name=op.f("pk_smart_launch")),
    )
    with op.batch_alter_table("smart_launch", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_smart_launch_begun_at"), ["begun_at"], unique=False)

    op.create_table(
        "smart_session",
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.String(length=2048), nullable=False),
        sa.Column("case_id", sa.String(length=36), nullable=False),
        sa.Column("expires_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_smart_session")),
    )
    with op.batch_alter_table("smart_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_smart_session_expires_at"), ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("smart_session")
    op.drop_table("smart_launch")
