"""Runs cases, several at a time, and says what became of them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sigma_bot.journal import Filter, open_journal
from sigma_bot.journal.journal import Journal
from tests.crash.crash_cases import ANSWERS, STORIES, Case, check_decisions, drawn, play, whole_cases
from tests.crash.crash_servers import folder, mortal_redis
from tests.crash.crash_world import ForkServer, world

AT_ONCE = 3
"""Cases at a time: they wait more than they compute."""


@dataclass
class Outcome:
    """What became of a case. ``points``: how often each was passed; ``killed``: how often the bot was."""

    case: Case
    error: str
    killed: int
    points: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def crashed(self) -> bool:
        """Whether the bot died where the case wants it to."""
        return self.killed > 0


@dataclass
class Bench:
    """What cases run on: a server that forks bots, a journal in each database, a bus for each case at a time
    (a bus's channels are one for all its databases)."""

    server: ForkServer
    journals: dict[str, tuple[str, Journal]]
    buses: asyncio.Queue[str]

    async def run(self, case: Case) -> Outcome:
        """One case with all its checks."""
        bus = await self.buses.get()
        began, killed, points = time.monotonic(), 0, Counter[str]()
        error = ""
        url, journal = self.journals[case.database]
        try:
            async with world(self.server, case.venue, bus, url, case.crashes) as w:
                try:
                    await play(case, w)
                    await w.check(journal)
                    check_decisions(case, w, [e.row for e in await journal.orders(Filter(w.bot))])
                finally:
                    killed = sum(status == -9 for status in w.kills)
                    points.update(w.status.said.get("points", {}))
        except Exception as wrong:  # noqa: BLE001 - whatever goes wrong is the case's failure, and is shown
            notes = "\n".join(getattr(wrong, "__notes__", ()))
            error = f"{type(wrong).__name__}: {wrong}\n{notes}"
        finally:
            self.buses.put_nowait(bus)
        return Outcome(case, error, killed, points, time.monotonic() - began)

    async def all(self, cases: Iterable[Case]) -> list[Outcome]:
        """Several cases; the bench's buses say how many at a time."""
        return list(await asyncio.gather(*(self.run(case) for case in cases)))


@contextlib.asynccontextmanager
async def bench(postgres_url: str, bus_urls: Sequence[str]) -> AsyncIterator[Bench]:
    """Everything cases need; ``postgres_url`` is an empty database."""
    with folder("sigma-crash-") as where:
        sqlite = f"sqlite:///{where}/journal.db"
        async with (
            ForkServer() as server,
            await open_journal(sqlite) as one,
            await open_journal(postgres_url) as other,
        ):
            buses: asyncio.Queue[str] = asyncio.Queue()
            for url in bus_urls:
                buses.put_nowait(url)
            yield Bench(server, {"sqlite": (sqlite, one), "postgres": (postgres_url, other)}, buses)


async def chunk(on: Bench, venue: str, story: str, count: int, seed: int) -> list[Outcome]:
    """At least ``count`` crashes of one story at one venue: each answer is played whole once, which tells the
    steps that there are, then with crashes at some of them."""
    rng = random.Random(f"{seed}/{venue}/{story}")
    answers = [name for name in ANSWERS if name != "plain"]
    rng.shuffle(answers)
    each = 2
    chosen = ["plain", *answers[: max(1, -(-(count - 6) // each))]]
    wholes = await on.all(whole_cases(venue, story, chosen, rng))
    cases: list[Case] = []
    for outcome in wholes:
        if not outcome.error:
            cases += drawn(outcome.case, outcome.points, 6 if outcome.case.answer == "plain" else each, rng)
    return [*wholes, *await on.all(cases)]


@contextlib.contextmanager
def redis_servers(count: int = AT_ONCE) -> Iterator[list[str]]:
    """Addresses of ``count`` private Redis servers."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(mortal_redis()).url for _ in range(count)]


__all__ = ["AT_ONCE", "STORIES", "Bench", "Outcome", "bench", "chunk", "redis_servers"]
