"""What was made for archives, and how far each was looked through

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import cds.store.tables

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dicom_object",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("film_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("made_at", cds.store.tables.UtcTime(), nullable=False),
        sa.Column("withdrawn_at", cds.store.tables.UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name=op.f("fk_dicom_object_film_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sop_instance_uid", name=op.f("pk_dicom_object")),
    )
    with op.batch_alter_table("dicom_object", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_dicom_object_film_id"), ["film_id"], unique=False)

    op.create_table(
        "watched_study",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_date", sa.String(length=8), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=True),
        sa.Column("fetched_at", cds.store.tables.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("node", "study_instance_uid", name=op.f("pk_watched_study")),
    )
    with op.batch_alter_table("watched_study", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_watched_study_study_date"), ["study_date"], unique=False)


def downgrade() -> None:
    op.drop_table("watched_study")
    op.drop_table("dicom_object")
