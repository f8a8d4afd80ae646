"""Alembic's entry: migrates over the connection that `serving.database.migrate` hands it."""

from alembic import context

from lumbar.serving.models import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
