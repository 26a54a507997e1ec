"""A change is stored whole, under a lease that stands, or not at all."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from sigma_bot.errors import BadInputError
from sigma_bot.journal import (
    FillConflictError,
    Filter,
    IllegalTransitionError,
    Journal,
    LeaseLostError,
    open_journal,
)
from sigma_bot.model.orders import TRANSITIONS, Change, EquityPoint, InputRow, State, Usage
from tests.integration.journal.journal_samples import NOW, fill, identity, order, started, whole


async def everything(journal: Journal, bot: str = "ema") -> Any:
    """All that is stored of a bot."""
    return await journal.load(bot), await journal.changes_since(bot, 0)


async def test_what_is_committed_is_read_back_exactly(journal: Journal) -> None:
    lease = await started(journal)
    change = whole()
    assert await journal.commit(lease, change) == 1
    loaded = await journal.load("ema")
    assert loaded is not None
    assert (loaded.run, loaded.commit, loaded.inputs, loaded.last_order) == (1, 1, 1, 2)
    assert (loaded.state, loaded.code_digest, loaded.tick, loaded.ts) == (change.state, "code-1", 7, NOW + 7)
    assert (loaded.orders, loaded.fills, loaded.usage) == (change.orders, change.fills, change.usage)
    since = await journal.changes_since("ema", 0)
    assert since.commit == 1
    for stored, given in (
        (since.orders, change.orders),
        (since.fills, change.fills),
        (since.inputs, change.inputs),
        (since.notices, change.notices),
    ):
        assert [entry.row for entry in stored] == given
        assert {(entry.bot, entry.run, entry.commit) for entry in stored} == {("ema", 1, 1)}
    digits = since.orders[0].row.limit_price
    assert str(digits) == "91234000.00", "as many zeros as were given"


async def test_the_number_rises_by_one(journal: Journal) -> None:
    lease = await started(journal)
    assert [await journal.commit(lease, Change(tick, NOW)) for tick in range(5)] == [1, 2, 3, 4, 5]
    assert (await journal.bots())[0].tick == 4


async def test_the_last_checkpoint_counts(journal: Journal) -> None:
    lease = await started(journal)
    for tick in range(1, 6):
        await journal.commit(lease, Change(tick, NOW, state=f"state {tick}"))
        await journal.commit(lease, Change(tick, NOW))
    loaded = await journal.load("ema")
    assert loaded is not None
    assert (loaded.state, loaded.tick, loaded.commit) == ("state 5", 5, 10)


@pytest.mark.parametrize("old", State)
async def test_states_follow_the_table(journal: Journal, old: State) -> None:
    lease = await started(journal)
    for number, new in enumerate(State, 1):
        await journal.commit(lease, Change(1, NOW, orders=[order(number, old)]))
        before = await everything(journal)
        change = Change(2, NOW, orders=[order(90 + number), order(number, new)], state="new")
        if new == old or new in TRANSITIONS[old]:
            await journal.commit(lease, change)
        else:
            with pytest.raises(IllegalTransitionError, match=f"{old.value} cannot become {new.value}"):
                await journal.commit(lease, change)
            assert await everything(journal) == before, "nothing of it is stored"


async def test_a_fill_told_again_is_stored_once(journal: Journal) -> None:
    lease = await started(journal)
    await journal.commit(lease, Change(1, NOW, fills=[fill(), fill()]))
    later = fill(ts=NOW + 5, maker=False, realized=Decimal(0))
    await journal.commit(lease, Change(2, NOW, fills=[fill("t2"), later]))
    assert [entry.row for entry in await journal.fills(Filter("ema"))] == [fill("t2"), fill()]


async def test_the_other_side_of_our_own_trade_is_another_fill(journal: Journal) -> None:
    lease = await started(journal)
    await journal.commit(lease, Change(1, NOW, fills=[fill(), fill(side="sell", number=2)]))
    assert len(await journal.fills(Filter("ema"))) == 2


@pytest.mark.parametrize("what", ["price", "quantity", "fee"])
async def test_a_fill_told_otherwise_is_refused(journal: Journal, what: str) -> None:
    lease = await started(journal)
    await journal.commit(lease, Change(1, NOW, fills=[fill()]))
    before = await everything(journal)
    other: Any = {what: Decimal("0.5")}
    with pytest.raises(FillConflictError, match="trade t1 of KRW-BTC"):
        await journal.commit(lease, Change(2, NOW, state="new", fills=[fill("t2"), fill(**other)]))
    assert await everything(journal) == before


async def test_a_trade_is_one_fill_of_an_account_and_of_a_run(journal: Journal) -> None:
    one, two = await started(journal, "one"), await started(journal, "two")
    await journal.commit(one, Change(1, NOW, fills=[fill()]))
    await journal.commit(two, Change(1, NOW, fills=[fill()]))
    assert len(await journal.fills()) == 1, "two bots of one account are told of the same trade"
    for name in ("three", "four"):
        lease = await started(journal, name, mode="sim")
        await journal.commit(lease, Change(1, NOW, fills=[fill()]))
        await journal.new_run(lease, identity(name, mode="sim"), NOW, "reset")
        await journal.commit(lease, Change(1, NOW, fills=[fill()]))
        assert len(await journal.fills(Filter(name))) == 2


async def test_a_number_of_an_input_is_used_once(journal: Journal) -> None:
    lease = await started(journal)
    await journal.commit(lease, whole())
    before = await everything(journal)
    with pytest.raises(BadInputError):
        await journal.commit(lease, Change(8, NOW, state="x", inputs=[InputRow(1, 8, "halt", {})]))
    assert await everything(journal) == before


async def test_money_is_never_a_float(journal: Journal) -> None:
    lease = await started(journal)
    for wrong in (0.1, Decimal("NaN"), Decimal("Infinity")):
        bad: Any = {"quantity": wrong}
        with pytest.raises((TypeError, ValueError), match="the journal takes a"):
            await journal.commit(lease, Change(1, NOW, orders=[order(**bad)]))
    assert not (await journal.orders(Filter("ema"))).rows
    assert await journal.commit(lease, Change(1, NOW)) == 1


async def test_a_venues_words_are_held_whatever_they_are(journal: Journal) -> None:
    lease = await started(journal)
    hostile = "no\x00 \ud800 \U0001f4a9 ' \" \\ {} $1 ?"
    await journal.commit(
        lease,
        Change(
            1,
            NOW,
            orders=[order(1, State.REJECTED, reason=hostile)],
            inputs=[InputRow(1, 1, "report", {"text": hostile})],
        ),
    )
    since = await journal.changes_since("ema", 0)
    assert since.orders[0].row.reason == "no\ufffd ? \U0001f4a9 ' \" \\ {} $1 ?"
    assert since.inputs[0].row.payload == {"text": hostile}


async def test_nothing_is_stored_without_the_lease(journal: Journal) -> None:
    lease = await started(journal)
    await journal.commit(lease, whole())
    before = await everything(journal)
    for lost in (
        replace(lease, token=lease.token - 1),
        replace(lease, holder="somebody"),
        replace(lease, bot_id=lease.bot_id, token=lease.token + 1),
    ):
        with pytest.raises(LeaseLostError, match="nothing was stored"):
            await journal.commit(lost, Change(8, NOW, state="new", orders=[order(9)]))
    await journal.release(lease)
    assert not lease.alive()
    with pytest.raises(LeaseLostError, match="was given back"):
        await journal.commit(lease, Change(8, NOW, state="new", orders=[order(9)]))
    assert await everything(journal) == before


async def test_a_use_is_stored_with_the_rest_of_a_change(journal: Journal) -> None:
    lease, used = await started(journal), Usage(Decimal("5.5"), 1, 2, Decimal("0.1"), 3, 4)
    for number in (1, 2, 3):  # the first asks for the number of the commit, the others know it
        told = replace(used, open_orders=number)
        change = Change(number, NOW, state="kept", orders=[order(number)], usage=told)
        assert await journal.commit(lease, change) == number
        loaded = await journal.load(lease.bot)
        assert loaded is not None
        assert loaded.usage == told


async def test_bots_of_one_account_see_each_others_use(journal: Journal) -> None:
    one, two = await started(journal, "one"), await started(journal, "two")
    elsewhere = await started(journal, "far", account="other")
    used = Usage(Decimal("5.5"), 1, 2, Decimal("0.1"), 3, 4)
    await journal.commit(one, Change(1, NOW, usage=used))
    await journal.commit(elsewhere, Change(1, NOW, usage=used))
    seen: list[list[Usage]] = []
    change = Change(1, NOW, orders=[order(5)], usage=replace(used, open_orders=9))

    def admit(others: list[Usage]) -> None:
        seen.append(others)
        change.orders.clear()

    await journal.commit(two, change, admit)
    await journal.commit(one, Change(2, NOW, usage=used), seen.append)
    assert seen == [[used], [change.usage]]
    await journal.commit(one, Change(3, NOW), seen.append)
    assert len(seen) == 2, "a change without a use needs no leave"
    assert not (await journal.orders(Filter("two"))).rows, "what was not admitted is not stored"


async def test_a_use_that_is_not_admitted_leaves_nothing(journal: Journal) -> None:
    lease = await started(journal)

    def refuse(others: list[Usage]) -> None:
        raise BadInputError("too much")

    with pytest.raises(BadInputError, match="too much"):
        await journal.commit(lease, whole(), refuse)
    assert await journal.commit(lease, Change(1, NOW)) == 1
    assert not (await journal.orders(Filter("ema"))).rows


async def test_a_bot_is_found_again(journal: Journal) -> None:
    first = await journal.register(identity(), NOW)
    again = await journal.register(identity(code_digest="code-2"), NOW + 9)
    assert (first.run, first.fresh, again.run, again.fresh) == (1, True, 1, False)
    assert (again.code_digest, again.commit) == ("code-1", 0)
    assert await journal.load("other") is None
    loaded = await journal.load("ema")
    assert loaded is not None
    assert (loaded.state, loaded.orders, loaded.usage) == (None, [], None)


@pytest.mark.parametrize(
    ("what", "value"), [("mode", "sim"), ("venue", "binance"), ("account", "second"), ("currency", "USDT")]
)
async def test_a_name_belongs_to_one_bot(journal: Journal, what: str, value: str) -> None:
    await journal.register(identity(), NOW)
    changed: Any = {what: value}
    with pytest.raises(BadInputError, match=f"{what} '{value}' does not fit.*with {what} '"):
        await journal.register(identity(**changed), NOW)


async def test_a_new_run_begins_without_a_state(journal: Journal) -> None:
    lease = await started(journal, mode="sim")
    await journal.begin_ticks(lease, 5, NOW + 5)
    await journal.begin_ticks(lease, 6, NOW + 6)
    await journal.commit(lease, whole())
    fresh = await journal.new_run(lease, identity(mode="sim", code_digest="code-2"), NOW + 9, "reset")
    assert (fresh.run, fresh.fresh, fresh.code_digest, fresh.commit) == (2, True, "code-2", 1)
    loaded = await journal.load("ema")
    assert loaded is not None
    assert (loaded.run, loaded.state, loaded.orders, loaded.fills, loaded.inputs) == (2, None, [], [], 0)
    first = await journal.run_of("ema", 1)
    assert (first.first_tick, first.first_ts, first.ended, first.reason) == (5, NOW + 5, NOW + 9, "reset")
    assert first.manifest == {"risk": Decimal("0.10")}


async def test_orders_at_a_venue_outlive_a_run(journal: Journal) -> None:
    lease = await started(journal)
    await journal.commit(lease, whole())
    await journal.new_run(lease, identity(), NOW, "reset")
    loaded = await journal.load("ema")
    assert loaded is not None
    assert [row.order_id for row in loaded.orders] == [1, 2]
    assert len(loaded.fills) == 2


async def test_another_manifest_is_adopted(journal: Journal) -> None:
    lease = await started(journal)
    await journal.commit(lease, whole())
    again = await journal.adopt(lease, identity(manifest_digest="manifest-2", manifest={"a": 1}))
    assert (again.run, again.manifest_digest) == (1, "manifest-2")
    assert (await journal.run_of("ema")).manifest == {"a": 1}


def test_a_bot_imports_nothing_heavy(database: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from sigma_bot.journal import open_journal\n"
        "async def main():\n"
        "    async with await open_journal(sys.argv[1]) as journal: print(await journal.bots())\n"
        "asyncio.run(main())\n"
        "heavy = {'sqlalchemy', 'alembic', 'numpy', 'pandas', 'pydantic', 'sigma_bot.backtest'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    for _ in ("new", "current"):
        done = subprocess.run(
            [sys.executable, "-c", program, database], capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.stderr) == ("[]\n[]\n", "")


async def test_commits_are_on_the_disk(journal: Journal) -> None:
    async def ask(session: Any) -> Any:
        query = "PRAGMA synchronous" if session.sqlite else "SHOW synchronous_commit"
        return (await session.rows(query))[0][0]

    assert await journal._database.run(ask) in (2, "on")


async def test_the_journal_of_a_newer_version_is_refused(journal: Journal, database: str) -> None:
    await journal._database.run(lambda session: session.rows("UPDATE sigma_version SET version_num = '9999'"))
    with pytest.raises(BadInputError, match="written by a newer version of SIGMA-X"):
        await open_journal(database)


@pytest.mark.parametrize("way", ["at once", "by statements"])
async def test_equity_is_stored_with_the_change(journal: Journal, way: str) -> None:
    lease = await started(journal)
    points = [EquityPoint(NOW + n, Decimal(f"{n}.10"), Decimal(n), Decimal("0.5")) for n in range(4)]
    await journal.commit(lease, Change(1, NOW, equity=points[:1]))
    if way == "by statements":
        lease.commits = None
    await journal.commit(lease, Change(2, NOW, orders=[order()], equity=points[1:3]))
    entries = await journal.equity("ema")
    assert [(entry.commit, entry.row) for entry in entries] == [
        (1, points[0]),
        (2, points[1]),
        (2, points[2]),
    ]
    assert [str(entry.row.equity) for entry in entries] == ["0.10", "1.10", "2.10"]
    again = replace(points[2], equity=Decimal(9))
    if way == "by statements":
        lease.commits = None
    await journal.commit(lease, Change(3, NOW, equity=[again, points[3]]))
    assert [entry.row for entry in await journal.equity("ema")] == points, "what stands is not written over"
    assert [e.row for e in await journal.equity("ema", NOW + 1, NOW + 3)] == points[1:3]
