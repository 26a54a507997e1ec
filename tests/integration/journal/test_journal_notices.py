"""Who asks for the notices after a number misses none and gets none twice, whatever commits meanwhile."""

from __future__ import annotations

import asyncio

import asyncpg

from sigma_bot.journal import Journal, open_journal
from sigma_bot.model.orders import Change, NoticeRow
from tests.integration.journal.journal_samples import NOW, started


def notice(text: str, ts: int = NOW) -> NoticeRow:
    return NoticeRow("alert", "code", text, ts)


async def read_all(journal: Journal, limit: int = 1000) -> list[tuple[int, str, str]]:
    """Number, bot and text of every notice, by as many steps as it takes."""
    out: list[tuple[int, str, str]] = []
    while True:
        found = await journal.notices_after(out[-1][0] if out else 0, limit)
        if not found:
            return out
        out += [(one.number, one.notice.bot, one.notice.row.text) for one in found]


async def test_numbers_rise_without_a_gap(journal: Journal) -> None:
    leases = [await started(journal, name, account=name) for name in ("one", "two")]
    assert await journal.notices_after(0) == []
    for n in range(3):
        for lease in leases:
            await journal.commit(lease, Change(n, NOW, notices=[notice(f"{n}a"), notice(f"{n}b")]))
        found = await read_all(journal, limit=3)
        assert [number for number, _, _ in found] == list(range(1, 4 * (n + 1) + 1))
    assert len({(bot, text) for _, bot, text in found}) == 12
    assert [text for _, bot, text in found if bot == "one"] == ["0a", "0b", "1a", "1b", "2a", "2b"]


async def test_what_came_first_keeps_its_number(journal: Journal) -> None:
    lease = await started(journal)
    await journal.commit(lease, Change(1, NOW, notices=[notice("new", NOW + 5)]))
    assert await read_all(journal) == [(1, "ema", "new")]
    await journal.commit(lease, Change(2, NOW, notices=[notice("told late", NOW)]))
    assert await read_all(journal) == [(1, "ema", "new"), (2, "ema", "told late")]


async def test_one_that_commits_last_gets_the_higher_number(postgres_database: str) -> None:
    async with await open_journal(postgres_database) as journal:
        slow, fast = [await started(journal, name, account=name) for name in ("slow", "fast")]
        connection = await asyncpg.connect(postgres_database)
        begun = connection.transaction()
        await begun.start()
        await connection.execute(
            "INSERT INTO notices (bot, run, commit_no, place, kind, code, text, ts, order_id, symbol)"
            f" VALUES ({slow.bot_id}, 1, 1, 0, 'alert', 'code', 'slow', {NOW - 9}, 0, '')"
        )
        await journal.commit(fast, Change(1, NOW, notices=[notice("fast")]))
        assert await read_all(journal) == [(1, "fast", "fast")]
        await begun.commit()
        await connection.close()
        assert await journal.notices_after(1) != []
        assert await read_all(journal) == [(1, "fast", "fast"), (2, "slow", "slow")]


async def test_readers_and_bots_at_once(database: str) -> None:
    async with await open_journal(database) as journal, await open_journal(database) as other:
        leases = [await started(journal, f"bot-{n}", account=str(n)) for n in range(3)]

        async def commits(number: int) -> None:
            for n in range(20):
                await journal.commit(leases[number], Change(n, NOW, notices=[notice(f"{n}")]))

        async def reads(by: Journal) -> list[tuple[int, str]]:
            seen: list[tuple[int, str]] = []
            while len(seen) < 60:
                found = await by.notices_after(seen[-1][0] if seen else 0)
                seen += [(one.number, f"{one.notice.bot} {one.notice.row.text}") for one in found]
            return seen

        async with asyncio.timeout(120):
            *_, one, two = await asyncio.gather(*map(commits, range(3)), reads(journal), reads(other))
        assert one == two
        assert [number for number, _ in one] == list(range(1, 61))
        assert len({text for _, text in one}) == 60
