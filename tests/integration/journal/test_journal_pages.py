"""Lists of the journal: page by page, by filters, by indexes."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sigma_bot.database.driver import Session
from sigma_bot.errors import BadInputError
from sigma_bot.journal import QUERY_POOL, Filter, Journal, Page, open_journal, queries
from sigma_bot.journal.filters import parse_states
from sigma_bot.model.orders import LIVING, Change, InputRow, NoticeRow, State
from tests.integration.journal.journal_samples import NOW, fill, order, started

SECOND = 10**9
STATES = list(State)
LISTS = ("orders", "fills", "inputs", "notices")


async def filled(journal: Journal, names: tuple[str, ...] = ("one", "two"), count: int = 12) -> None:
    """Bots with so many orders, fills, inputs and notices each; every two of one instant."""
    for name in names:
        lease = await started(journal, name, account=name)
        for n in range(1, count + 1):
            ts = NOW + n // 2 * SECOND
            symbol = ("KRW-BTC", "KRW-ETH")[n % 2]
            await journal.commit(
                lease,
                Change(
                    tick=n,
                    ts=ts,
                    orders=[order(n, STATES[n % len(STATES)], created=ts, symbol=symbol)],
                    fills=[fill(f"{name} {n}", n, ts=ts, symbol=symbol)],
                    inputs=[InputRow(n, n, "gap", {})],
                    notices=[NoticeRow("alert", "code", str(n), ts, n, symbol)],
                ),
            )


async def pages(read: Callable[[Filter], Awaitable[Page[Any]]], **chosen: Any) -> list[Any]:
    """Every row, page after page."""
    out: list[Any] = []
    after = None
    while True:
        page = await read(Filter(**chosen, after=after))
        assert len(page) <= chosen["limit"]
        out += page.rows
        assert len(out) <= 24, "a row comes twice"
        if page.after is None:
            return out
        after = page.after


@pytest.mark.parametrize("name", LISTS)
async def test_pages_are_the_whole_list(journal: Journal, name: str) -> None:
    await filled(journal)
    read = getattr(journal, name)
    for chosen in ({}, {"bot": "two"}, {"run": 1}):
        whole = (await read(Filter(**chosen, limit=None))).rows
        assert len(whole) == (12 if "bot" in chosen else 24)
        for limit in (1, 5, 12, 100):
            assert await pages(read, **chosen, limit=limit) == whole


async def test_the_newest_come_first(journal: Journal) -> None:
    await filled(journal, ("one",))
    numbers = list(range(12, 0, -1))
    assert [e.row.order_id for e in await journal.orders()] == numbers
    assert [e.row.order_id for e in await journal.fills()] == numbers
    assert [e.row.number for e in await journal.inputs()] == numbers
    assert [e.row.order_id for e in await journal.notices()] == numbers


async def test_what_is_added_meanwhile_moves_no_page(journal: Journal) -> None:
    await filled(journal, ("one",))
    first = await journal.orders(Filter(limit=5))
    await filled(journal, ("two",))
    second = await journal.orders(Filter(limit=100, after=first.after))
    assert [e.row.order_id for e in (*first, *second) if e.bot == "one"] == list(range(12, 0, -1))


async def test_filters(journal: Journal) -> None:
    await filled(journal)
    orders = (await journal.orders(Filter(limit=None))).rows
    some = frozenset({State.OPEN, State.REJECTED})
    since, until = NOW + 2 * SECOND, NOW + 4 * SECOND
    for chosen, holds in (
        (Filter(symbol="KRW-ETH"), lambda e: e.row.symbol == "KRW-ETH"),
        (Filter(states=some), lambda e: e.row.state in some),
        (Filter(states=frozenset()), lambda e: False),
        (Filter(states=LIVING, bot="two"), lambda e: e.row.state in LIVING and e.bot == "two"),
        (Filter(since=since), lambda e: e.row.created >= since),
        (Filter(until=until), lambda e: e.row.created < until),
        (
            Filter(bot="one", since=since, until=until),
            lambda e: e.bot == "one" and since <= e.row.created < until,
        ),
    ):
        assert (await journal.orders(chosen)).rows == [entry for entry in orders if holds(entry)], chosen
    for read in (journal.fills, journal.notices):
        rows = (await read(Filter(symbol="KRW-BTC", since=since, until=until))).rows
        assert {e.row.ts for e in rows} == {since, since + SECOND}
        assert {e.row.symbol for e in rows} == {"KRW-BTC"}


@pytest.mark.parametrize("name", ["symbol", "states", "since", "until"])
async def test_what_a_list_cannot_be_filtered_by(journal: Journal, name: str) -> None:
    value = {"symbol": "KRW-BTC", "states": LIVING}.get(name, 1)
    with pytest.raises(BadInputError, match=f"inputs can't be filtered by {name}"):
        await journal.inputs(Filter(**{name: value}))  # type: ignore[arg-type]


async def test_a_cursor_of_something_else_is_refused(journal: Journal) -> None:
    await filled(journal)
    after = (await journal.orders(Filter(limit=3))).after
    assert after is not None
    assert (await journal.orders(Filter(limit=7, after=after))).rows  # the limit may change
    with pytest.raises(BadInputError, match="other filters"):
        await journal.orders(Filter(bot="one", after=after))
    with pytest.raises(BadInputError, match="another list"):
        await journal.notices(Filter(after=after))
    key = json.loads(base64.urlsafe_b64decode(after + "=="))
    forged = base64.urlsafe_b64encode(json.dumps([*key[:3], "x", *key[4:]]).encode()).decode()
    for wrong in (after[:-9], "", "é", "%%", "bnVsbA", "[" * 100_000, forged):
        with pytest.raises(BadInputError, match="cursor"):
            await journal.orders(Filter(after=wrong))


def test_states_are_read_by_both_spellings() -> None:
    assert parse_states(["refused", "rejected", "parked"]) == {State.REJECTED, State.NEEDS_REVIEW}
    with pytest.raises(BadInputError, match="state 'lost' is not known; it is one of intent, unknown"):
        parse_states(["lost"])


CHOSEN = (
    ("orders", Filter()),
    ("orders", Filter(bot="one")),
    ("orders", Filter(bot="one", since=NOW)),
    ("orders", Filter(since=NOW, until=NOW + SECOND)),
    ("orders", Filter(states=frozenset({State.NEEDS_REVIEW}))),
    ("fills", Filter()),
    ("fills", Filter(bot="one")),
    ("fills", Filter(since=NOW, until=NOW + SECOND)),
    ("notices", Filter()),
    ("notices", Filter(bot="one")),
    ("inputs", Filter(bot="one", run=1)),
)


@pytest.mark.parametrize(("name", "chosen"), CHOSEN)
async def test_lists_are_read_by_an_index(database: str, name: str, chosen: Filter) -> None:
    """Each way of asking has an index: no table is read from its beginning."""
    async with await open_journal(database, pool=QUERY_POOL) as journal:
        await filled(journal)
        plans = [
            await plan(journal, getattr(queries, name), one) for one in await both(journal, name, chosen)
        ]
        for text in plans:
            assert "Seq Scan on " + name not in text, text
            # SQLite reads a table in the order of its key, which is what is asked for, or sorts it
            assert "SCAN t\n" not in text or "TEMP B-TREE" not in text, text


async def both(journal: Journal, name: str, chosen: Filter) -> list[Filter]:
    """The first page's filter and that of the second."""
    first = Filter(**{n: getattr(chosen, n) for n in Filter.__slots__} | {"limit": 2})
    page = await getattr(journal, name)(first)
    return [first, Filter(**{n: getattr(first, n) for n in Filter.__slots__} | {"after": page.after})]


async def plan(journal: Journal, read: Any, chosen: Filter) -> str:
    """How the database would find the page."""

    async def work(session: Session) -> str:
        if not session.sqlite:
            await session.rows("SET LOCAL enable_seqscan = off")
        asked: list[tuple[str, tuple[Any, ...]]] = []

        class Watched:
            sqlite = session.sqlite

            async def rows(self, text: str, *values: Any) -> Any:
                asked.append((text, values))
                return await session.rows(text, *values)

        await read(Watched(), chosen)
        text, values = asked[-1]
        explain = "EXPLAIN QUERY PLAN " if session.sqlite else "EXPLAIN "
        return "".join(f"{tuple(row)[-1]}\n" for row in await session.rows(explain + text, *values))

    return await journal._database.run(work)
