"""One table for browsers on their way to an authorization server, and one for those that were let in

What it replaces lives an hour at most: launches that are under way are begun again.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import cds.store.tables

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_table("smart_session")
    op.drop_table("smart_launch")
    op.create_table(
        "code_request",
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("browser", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.String(length=2048), nullable=False),
        sa.Column("token_endpoint", sa.String(length=2048), nullable=False),
        sa.Column("verifier", sa.String(length=128), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("return_to", sa.String(length=2048), nullable=False),
        sa.Column("begun_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("state", name=op.f("pk_code_request")),
    )
    op.create_index(op.f("ix_code_request_begun_at"), "code_request", ["begun_at"], unique=False)
    op.create_table(
        "browser_session",
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("client", sa.String(length=2100), nullable=False),
        sa.Column("shown", sa.String(length=128), nullable=True),
        sa.Column("roles", sa.String(length=255), nullable=False),
        sa.Column("case_id", sa.String(length=36), nullable=True),
        sa.Column("seen_at", cds.store.tables.UtcTime(), nullable=False),
        sa.Column("ends_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_browser_session")),
    )
    op.create_index(op.f("ix_browser_session_ends_at"), "browser_session", ["ends_at"], unique=False)


def downgrade() -> None:
    op.drop_table("browser_session")
    op.drop_table("code_request")
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
    op.create_index(op.f("ix_smart_launch_begun_at"), "smart_launch", ["begun_at"], unique=False)
    op.create_table(
        "smart_session",
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.String(length=2048), nullable=False),
        sa.Column("case_id", sa.String(length=36), nullable=False),
        sa.Column("expires_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_smart_session")),
    )
    op.create_index(op.f("ix_smart_session_expires_at"), "smart_session", ["expires_at"], unique=False)
