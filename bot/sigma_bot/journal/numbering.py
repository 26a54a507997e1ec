"""Numbers of notices over all bots, so that a reader can ask for those after the last one that it had.

A number taken by a bot as it writes would not do on PostgreSQL: of two bots that write at once the one with
the lower number may commit last, and a reader who has seen the higher one would never ask for it. Holding the
bots back until the one before has committed would let one account stop another. So the bots store notices
without a number, and the reader numbers what is committed, in the transaction that reads: readers take turns
by a lock that no bot knows, and whatever becomes visible later gets a higher number. Numbers have no gaps and
survive dump and restore, which an order by PostgreSQL's transaction ids would not.
"""

from __future__ import annotations

from sigma_bot.database.driver import Session
from sigma_bot.journal import rows
from sigma_bot.journal.statements import positional
from sigma_bot.journal.types import NumberedNotice, StoredRow

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('sigma:notices', 0))"
_BATCH = 10_000
"""Notices numbered in one transaction at most."""


async def notices_after(session: Session, number: int, limit: int) -> list[NumberedNotice]:
    """See `Journal.notices_after`. The session must be one that writes."""
    await _number_new(session)
    names = ", ".join(f"t.{name}" for name in rows.NOTICES.names)
    query = (
        f"SELECT {names}, t.number, bots.name, t.run, t.commit_no FROM notices AS t"
        f" JOIN bots ON t.bot = bots.id WHERE t.number > ? ORDER BY t.number LIMIT {limit}"
    )
    found = await session.rows(positional(query, session.sqlite), number)
    records = rows.NOTICES.records(found)
    return [
        NumberedNotice(row[-4], StoredRow(row[-3], row[-2], row[-1], record))
        for row, record in zip(map(tuple, found), records, strict=True)
    ]


async def _number_new(session: Session) -> None:
    """Number what is committed and has no number, by time."""
    if not await session.rows("SELECT 1 FROM notices WHERE number IS NULL LIMIT 1"):
        return
    if not session.sqlite:
        # A statement of its own: the next one then sees what the reader before us has numbered.
        await session.rows(_LOCK)
    await session.rows(
        "UPDATE notices SET number = counted.number FROM (SELECT bot, commit_no, place,"
        " (SELECT COALESCE(MAX(number), 0) FROM notices) + row_number() OVER"
        f" (ORDER BY ts, bot, commit_no, place) AS number FROM (SELECT * FROM notices WHERE number IS NULL"
        f" ORDER BY ts, bot, commit_no, place LIMIT {_BATCH}) AS fresh) AS counted"
        " WHERE notices.bot = counted.bot AND notices.commit_no = counted.commit_no"
        " AND notices.place = counted.place"
    )
