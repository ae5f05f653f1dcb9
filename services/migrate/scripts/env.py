"""Alembic's entry: runs the revisions on the connection that the runner hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # A revision that fails leaves those before it in place and nothing of its own.
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
