"""Alembic's entry: runs the revisions on the connection that the runner hands over."""

from alembic import context

from services.migrate import journal

context.configure(
    connection=context.config.attributes["connection"],
    # A revision that fails leaves those before it in place and nothing of its own.
    transaction_per_migration=True,
    # As SQL text there is no other place for values.
    literal_binds=context.is_offline_mode(),
)
if context.config.attributes["journal"]:
    journal.keep(context.get_context())
with context.begin_transaction():
    context.run_migrations()
