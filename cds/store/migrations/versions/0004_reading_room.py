"""Events of the reading room, second opinions, and the regions that people draw

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import cds.store.tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_APPEND_ONLY = ("verdict", "reading_event")


def upgrade() -> None:
    op.create_table(
        "reading_event",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("film_id", sa.String(length=36), nullable=True),
        sa.Column("report_id", sa.String(length=36), nullable=True),
        sa.Column("finding", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("said_by", sa.String(length=255), nullable=False),
        sa.Column("said_at", cds.store.tables.UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name=op.f("fk_reading_event_film_id")),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_reading_event_report_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading_event")),
    )
    with op.batch_alter_table("reading_event", schema=None) as batch_op:
        batch_op.create_index("ix_reading_event_film_id_kind", ["film_id", "kind"], unique=False)
        batch_op.create_index(batch_op.f("ix_reading_event_report_id"), ["report_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_reading_event_said_at"), ["said_at"], unique=False)
    op.create_table(
        "second_opinion",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("film_id", sa.String(length=36), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.String(length=255), nullable=False),
        sa.Column("asked_at", cds.store.tables.UtcTime(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("replied_by", sa.String(length=255), nullable=True),
        sa.Column("replied_at", cds.store.tables.UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["film_id"], ["film.id"], name=op.f("fk_second_opinion_film_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_second_opinion")),
    )
    with op.batch_alter_table("second_opinion", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_second_opinion_film_id"), ["film_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_second_opinion_asked_at"), ["asked_at"], unique=False)
    op.add_column("verdict", sa.Column("regions", sa.JSON(none_as_null=True), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        for table in _APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_is_append_only BEFORE UPDATE ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in _APPEND_ONLY:
            op.execute(f"DROP TRIGGER {table}_is_append_only")
    op.drop_column("verdict", "regions")
    op.drop_table("second_opinion")
    op.drop_table("reading_event")
