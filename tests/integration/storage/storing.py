"""A process that stores runs, for tests that end it or run several: ``storing.py URL COUNT [STOP]``.

It says "ready" and waits for a line before it opens the database. With STOP it says "there" as soon as rows
of the table of that name have been written, and waits for ever, its transaction open; ``migration:TABLE``
does so in the migration, before that table is made.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from sqlalchemy.util import await_only

from sigma_bot.database import bulk
from sigma_bot.results import use_store
from sigma_bot.schema.migrate import migrate
from tests.integration.storage import storage_samples as samples

MIGRATION = "migration:"


def main(url: str, count: int, stop: str | None) -> None:
    if stop is not None:
        stop_after_insert(stop)
        stop_in_migration(stop)
    print("ready", flush=True)
    sys.stdin.readline()
    if stop is not None and stop.startswith(MIGRATION):
        asyncio.run(migrate(url, 30.0))  # as the process does that brings the tables up to date
    for _ in range(count):
        print(
            use_store(lambda store: store.save_result(samples.result(300), samples.trades(), {}), url),
            flush=True,
        )


def wait_for_ever() -> None:
    print("there", flush=True)
    await_only(asyncio.Event().wait())


def stop_after_insert(table: str) -> None:
    original = bulk.insert

    def insert(connection: Any, name: str, *rest: Any) -> None:
        original(connection, name, *rest)
        if name == table:
            wait_for_ever()

    bulk.insert = insert  # type: ignore[assignment]


def stop_in_migration(stop: str) -> None:
    wanted = stop.removeprefix(MIGRATION)
    if wanted == stop:
        return
    from alembic import op

    original = op.create_table

    def create_table(name: str, *columns: Any, **options: Any) -> Any:
        if name == wanted:
            wait_for_ever()
        return original(name, *columns, **options)

    op.create_table = create_table  # type: ignore[assignment]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
