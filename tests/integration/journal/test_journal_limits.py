"""Limits that several bots share, and a disk that has one."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from sigma_bot.database.errors import StorageError
from sigma_bot.journal import Lease, open_journal
from sigma_bot.model.orders import Change, Usage
from tests.integration.journal.journal_samples import NOW, started

MOST = 10


async def test_bots_never_exceed_their_accounts_limit_together(database: str) -> None:
    """Four bots, each on a connection of its own, add orders as long as the account has room."""
    async with await open_journal(database) as journal:
        leases = [await started(journal, f"bot-{number}") for number in range(4)]

    async def trade(lease: Lease) -> int:
        mine = 0
        async with await open_journal(database) as own:
            for tick in range(8):
                change = Change(tick, NOW, usage=usage(mine + 1))

                def admit(others: list[Usage], change: Change = change, mine: int = mine) -> None:
                    if mine + 1 + sum(other.open_orders for other in others) > MOST:
                        change.usage = usage(mine)

                await own.commit(lease, change, admit)
                assert change.usage is not None
                mine = change.usage.open_orders
        return mine

    used = await asyncio.gather(*(trade(lease) for lease in leases))
    assert sum(used) == MOST


def usage(orders: int) -> Usage:
    return Usage(Decimal(0), orders, 0, Decimal(0), 0, 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)  # type: ignore[arg-type]
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


async def test_a_full_disk_stores_nothing_and_says_so(small_disk: Path) -> None:
    async with await open_journal(str(small_disk / "journal.db")) as journal:
        lease = await started(journal)
        assert await journal.commit(lease, Change(1, NOW, state="first")) == 1
        with pytest.raises(StorageError, match="disk"):
            await journal.commit(lease, Change(2, NOW, state="x" * 3_000_000))
        loaded = await journal.load("ema")
        assert loaded is not None
        assert (loaded.commit, loaded.tick, loaded.state) == (1, 1, "first")
        assert await journal.commit(lease, Change(7, NOW, state="small")) == 2
