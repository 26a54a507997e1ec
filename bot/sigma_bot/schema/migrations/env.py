"""Alembic runs this: the migrations, on the connection that the store hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from sigma_bot.database.revision import VERSION_TABLE
from sigma_bot.schema.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # The store has begun the transaction and holds the lock; one commit ends both.
    transactional_ddl=False,
)
context.run_migrations()
