"""A process that uses a journal, for tests that run several or end it: ``holding.py URL WHAT BOT HOLDER``.

It says "ready" and waits for a line. ``acquire`` then tries for the lease and says "got TOKEN" or "held by
HOLDER". ``commit`` acquires, and commits one change after another, saying the number of each; with a fifth
argument it stops for ever, its transaction open, once a statement on that table has run in the third, before
it with COMMIT; with ``idle`` it waits for a line before the third.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from sigma_bot.journal import Journal, LeaseHeldError, open_journal
from sigma_bot.model.orders import Change, InputRow, NoticeRow, State
from tests.integration.journal.journal_samples import NOW, fill, order


async def main(url: str, what: str, bot: str, holder: str, stop: str = "") -> None:
    async with await open_journal(url) as journal:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        if what == "acquire":
            await acquire(journal, bot, holder)
        else:
            await commit(journal, bot, holder, stop)


async def acquire(journal: Journal, bot: str, holder: str) -> None:
    try:
        lease = await journal.acquire(bot, holder, 60.0)
    except LeaseHeldError as held:
        print(f"held by {held.holder}", flush=True)
    else:
        print(f"got {lease.token}", flush=True)


async def commit(journal: Journal, bot: str, holder: str, stop: str) -> None:
    lease = await journal.acquire(bot, holder, 60.0)
    for number in range(1, 100_000):
        if number == 3 and stop == "idle":
            print("there", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
        elif number == 3 and stop:
            stop_after(stop)
            lease.commits = None  # statement by statement, not at once
        print(await journal.commit(lease, step(number)), flush=True)


def step(number: int) -> Change:
    """Two orders, two fills, an input, a notice and a state, all of one number."""
    return Change(
        tick=number,
        ts=NOW + number,
        state=str(number) * 500,
        orders=[order(2 * number, State.FILLED), order(2 * number + 1, State.FILLED)],
        fills=[fill(f"a{number}", 2 * number), fill(f"b{number}", 2 * number + 1)],
        inputs=[InputRow(number, number, "report", {"number": number})],
        notices=[NoticeRow("state", "step", str(number), NOW)],
    )


def stop_after(table: str) -> None:
    """Wait for ever once a statement on the table has been run, or before a COMMIT of that name."""
    from sigma_bot.database import driver

    for kind in (driver._SqliteConnection, driver._PostgresConnection):
        wrap(kind, "rows", table)
        wrap(kind, "insert", table)
        wrap(kind, "end", table)


def wrap(kind: Any, name: str, table: str) -> None:
    original = getattr(kind, name)

    async def wrapped(self: Any, text: str, *values: Any) -> Any:
        if text == table:  # COMMIT
            await forever()
        result = await original(self, text, *values)
        if f" {table} " in text:
            await forever()
        return result

    setattr(kind, name, wrapped)


async def forever() -> None:
    print("there", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
