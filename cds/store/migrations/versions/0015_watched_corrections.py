"""What an archive said of a watched study, so that a correction of it is noticed

The studies of the last days are fetched once more at the next look; what is here already stays as it is.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("watched_study", sa.Column("said", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("watched_study") as batch:
        batch.alter_column("said", server_default=None)


def downgrade() -> None:
    op.drop_column("watched_study", "said")
