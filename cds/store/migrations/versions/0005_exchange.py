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
    op.create_table(
        "event",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index("ix_event_at", ["at", "id"], unique=False)

    op.create_table(
        "idempotency_key",
        sa.Column("client", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(length=255), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("client", "key", name=op.f("pk_idempotency_key")),
    )
    with op.batch_alter_table("idempotency_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_key_stored_at"), ["stored_at"], unique=False)

    op.create_table(
        "identity_decision",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("identifier_system", sa.String(length=255), nullable=False),
        sa.Column("identifier_value", sa.String(length=255), nullable=False),
        sa.Column("was", sa.JSON(), nullable=False),
        sa.Column("decided_by", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_decision")),
    )
    with op.batch_alter_table("identity_decision", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_identity_decision_item_id"), ["item_id"], unique=False)

    op.create_table(
        "patient",
        sa.Column("subject", sa.String(length=600), nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("sex", sa.String(length=16), nullable=True),
        sa.Column("seen_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_patient")),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("client", sa.String(length=255), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("secret", sa.String(length=255), nullable=False),
        sa.Column("created_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
    )
    with op.batch_alter_table("subscription", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_subscription_client"), ["client"], unique=False)

    op.create_table(
        "patient_alias",
        sa.Column("alias", sa.String(length=600), nullable=False),
        sa.Column("subject", sa.String(length=600), nullable=False),
        sa.Column("fhir_id", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(["subject"], ["patient.subject"], name=op.f("fk_patient_alias_subject")),
        sa.PrimaryKeyConstraint("alias", name=op.f("pk_patient_alias")),
    )
    with op.batch_alter_table("patient_alias", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_patient_alias_fhir_id"), ["fhir_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_patient_alias_subject"), ["subject"], unique=False)


def downgrade() -> None:
    for table in ("patient_alias", "patient", "subscription", "identity_decision", "idempotency_key", "event"):
        op.drop_table(table)
