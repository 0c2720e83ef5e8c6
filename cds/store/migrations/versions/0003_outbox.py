"""Jobs with a destination: the outbox

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.add_column(sa.Column("destination", sa.String(length=64), nullable=False, server_default=""))
        batch_op.alter_column("subject_id", existing_type=sa.String(length=36), type_=sa.String(length=64))
        batch_op.drop_constraint("uq_job_kind_subject_id", type_="unique")
        batch_op.create_unique_constraint("uq_job_kind_subject_id_destination", ["kind", "subject_id", "destination"])


def downgrade() -> None:
    op.execute("DELETE FROM job WHERE destination <> ''")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_constraint("uq_job_kind_subject_id_destination", type_="unique")
        batch_op.create_unique_constraint("uq_job_kind_subject_id", ["kind", "subject_id"])
        batch_op.alter_column("subject_id", existing_type=sa.String(length=64), type_=sa.String(length=36))
        batch_op.drop_column("destination")
