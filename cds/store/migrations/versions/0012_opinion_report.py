"""The report that goes with a question to a remote reader

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("second_opinion", sa.Column("report", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("second_opinion", "report")
