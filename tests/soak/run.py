"""One soak from start to report."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sigma_bot.journal import open_journal
from tests.soak.faults import Faults
from tests.soak.stage import MARKETS, Bot, Stage
from tests.soak.verify import Findings, verify
from tests.soak.watch import Watch

START_S = 60.0
TOLD = ("reconnects", "gaps", "missed", "differences", "malformed", "venue_errors", "rejections", "alerts")


@dataclass
class Report:
    """What came of it."""

    seed: int
    seconds: float
    bots: int
    faults: Counter[str]
    exits: dict[str, Counter[int]]
    memories: dict[str, tuple[float, float | None, int]]
    totals: Counter[str]
    found: Findings
    silent: list[str]

    @property
    def holds(self) -> bool:
        """Whether every invariant held, every bot came back, and there was something to hold."""
        return not self.found.broken and not self.silent and self.found.fills > 0

    def text(self) -> str:
        """For a person."""
        lines = [f"{self.bots} bots, {self.seconds / 60:.1f} minutes, seed {self.seed}", "faults:"]
        lines += [f"  {n:5} {name}" for name, n in self.faults.most_common()]
        lines.append("memory: largest MiB, slope MiB/h over lives long enough (their number)")
        for role, (largest, slope, lives) in self.memories.items():
            said = "-" if slope is None else f"{slope:+.1f} ({lives})"
            lines.append(f"  {role:14} {largest:7.1f}  {said}")
        lines.append("counted by bots and feeds:")
        wanted = {k: v for k, v in self.totals.items() if v and any(word in k for word in TOLD)}
        lines += [f"  {value:7} {name}" for name, value in sorted(wanted.items())]
        lines += [
            f"  {name} ended by itself with {dict(codes)}" for name, codes in self.exits.items() if codes
        ]
        f = self.found
        lines.append(f"orders {f.orders} {dict(f.states)}, fills {f.fills}, in review {f.in_review}")
        lines += [f"alert: {text}" for text in f.alerts]
        lines += [f"NOT BACK: {name}" for name in self.silent]
        lines += [f"BROKEN: {text}" for text in f.broken]
        lines.append("everything holds" if self.holds else "SOMETHING DOES NOT HOLD")
        return "\n".join(lines)


async def soak(
    folder: Path, seconds: float, bots: int, venues: Sequence[str], seed: int, every_s: float
) -> Report:
    """Run it. ``seconds``: how long faults happen; start, settling and checking come on top."""
    stage = Stage(folder, venues, bots, seed)
    watch, faults = Watch(stage), Faults(stage, every_s)
    began = time.monotonic()
    try:
        await begin(stage)
        tasks = [asyncio.create_task(work) for work in (watch.run(), keep(stage))]
        breaking = asyncio.create_task(faults.run())
        done, _ = await asyncio.wait({breaking, *tasks}, timeout=seconds)
        for task in done:
            task.result()
        breaking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await breaking
        await faults.mend()
        silent = await settle(stage)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        found = await close(stage)
    finally:
        await asyncio.to_thread(stage.close)
    exits = {proc.name: proc.exits for proc in stage.all}
    return Report(
        seed,
        time.monotonic() - began,
        bots,
        faults.done,
        exits,
        watch.memories(),
        watch.totals(),
        found,
        silent,
    )


async def begin(stage: Stage) -> None:
    """Everything up, every bot trading."""
    for server in (stage.postgres, stage.redis):
        server.start()
    await until(lambda: stage.answers(stage.postgres_port) and stage.answers(stage.redis_port), START_S)
    for venue in stage.venues.values():
        venue.start()
    for name in stage.venues:
        await until(lambda name=name: _state(stage, name), START_S)  # type: ignore[misc]
    for bot in stage.bots:
        market = bot.market
        if bot.mode == "live":
            balances = {market.quote: str(market.price * 2), market.base: "1"}
            await asyncio.to_thread(
                stage.admin, market.venue, "POST", "accounts", {"name": bot.name, "balances": balances}
            )
    # the journal's tables are made once, not by twenty bots at a time
    await until_async(lambda: _journal(stage), START_S)
    for proc in (*stage.feeds.values(), *stage.bots):
        proc.start()
        await asyncio.sleep(0.2)
    missing = await back(stage, START_S + 5 * len(stage.bots))
    if missing:
        logs = "\n".join(bot.log.read_text()[-1500:] for bot in stage.bots if bot.name in missing[0])
        raise RuntimeError(f"did not start: {missing}\n{logs}")


async def keep(stage: Stage) -> None:
    """Start again what ended by itself, a second later, as a kubelet would."""
    while True:
        await asyncio.sleep(1.0)
        for proc in (*stage.feeds.values(), *stage.bots):
            proc.keep()


async def settle(stage: Stage) -> list[str]:
    """All back and trading after the last fault, then halted, and nothing of them unknown. Who is not."""
    late = max(MARKETS[name].late_s for name in stage.venues)
    missing = await back(stage, START_S + late)
    async with await open_journal(stage.database, create=False) as journal:
        await journal.control("all", "", "halt", "the soak ends", by="soak", now=time.time_ns())
    for venue in stage.venues:  # or the market would fill what rests once its bot has ended
        await asyncio.to_thread(stage.admin, venue, "POST", "player", {"paused": True})
    end = time.monotonic() + START_S + late
    while time.monotonic() < end and (await verify(stage, sims=False)).broken:
        await asyncio.sleep(1.0)
    return missing


async def close(stage: Stage) -> Findings:
    """End bots, then feeds, so that every tick is recorded; then look."""
    for proc in (*stage.bots, *stage.feeds.values()):
        code = await asyncio.to_thread(proc.end, signal.SIGTERM)
        if code != 0:
            proc.exits[code] += 1
    return await verify(stage)


async def back(stage: Stage, patience_s: float) -> list[str]:
    """Wait until every bot is ready; whoever is not, with what it says."""
    end = time.monotonic() + patience_s
    waiting: list[Bot] = list(stage.bots)
    said: dict[str, str] = {}
    while waiting and time.monotonic() < end:
        for bot in list(waiting):
            status, body = await asyncio.to_thread(bot.ask, "/readyz")
            said[bot.name] = body[:300]
            if status == 200:
                waiting.remove(bot)
        await asyncio.sleep(0.5)
    return [f"{bot.name}: {said.get(bot.name) or 'no answer'}" for bot in waiting]


def _state(stage: Stage, venue: str) -> bool:
    try:
        return bool(stage.admin(venue, "GET", "state"))
    except OSError:
        return False


async def _journal(stage: Stage) -> bool:
    from sigma_bot.database.errors import StorageError

    try:
        async with await open_journal(stage.database):
            return True
    except StorageError:
        return False


async def until(holds: Callable[[], bool], patience_s: float) -> None:
    """Wait for something; TimeoutError when it does not come."""
    async with asyncio.timeout(patience_s):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.1)


async def until_async(holds: Callable[[], object], patience_s: float) -> None:
    """The same for a coroutine."""
    async with asyncio.timeout(patience_s):
        while not await holds():  # type: ignore[misc]
            await asyncio.sleep(0.1)
