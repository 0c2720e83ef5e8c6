"""The index by which a poll finds work that is due, whatever lies in the table that is done

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_job_due", "job")
    op.create_index("ix_job_due", "job", ["state", "kind", "due_at"])


def downgrade() -> None:
    op.drop_index("ix_job_due", "job")
    op.create_index("ix_job_due", "job", ["state", "due_at"])
