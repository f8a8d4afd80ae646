"""Studies, films, readings and sign-offs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the four tables."""
    op.create_table(
        "studies",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("added_at", sa.String(32), nullable=False),
        sa.Column("added_by", sa.String(80), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("problem", sa.Text()),
    )
    op.create_index("ix_studies_added_at", "studies", ["added_at"])
    op.create_index("ix_studies_state", "studies", ["state"])
    op.create_table(
        "films",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("study_id", sa.String(32), sa.ForeignKey("studies.id"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("spacing_mm", sa.Float()),
        sa.Column("anterior", sa.String(5)),
    )
    op.create_index("ix_films_study_id", "films", ["study_id"])
    op.create_table(
        "readings",
        sa.Column("film_id", sa.String(32), sa.ForeignKey("films.id"), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("parent", sa.Integer()),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("author", sa.String(80), nullable=False),
        sa.Column("made_at", sa.String(32), nullable=False),
        sa.Column("posture", sa.String(10)),
        sa.Column("doubt", sa.Float(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
    )
    op.create_table(
        "sign_offs",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("study_id", sa.String(32), sa.ForeignKey("studies.id"), nullable=False),
        sa.Column("author", sa.String(80), nullable=False),
        sa.Column("made_at", sa.String(32), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
    )
    op.create_index("ix_sign_offs_study_id", "sign_offs", ["study_id"])


def downgrade() -> None:
    """Drop them, with all that was said in them."""
    for table in ("sign_offs", "readings", "films", "studies"):
        op.drop_table(table)
