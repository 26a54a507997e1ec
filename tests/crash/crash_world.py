"""One case of the crash matrix: an emulated venue, a journal, a bus, and a bot that is killed and started
again like a pod, until the story has been told. Afterwards nothing may be lost, doubled or wrong."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from sigma_bot.bus.errors import BusError
from sigma_bot.bus.redis_bus import RedisBus
from sigma_bot.emulator.faults import Fault
from sigma_bot.emulator.server import Emulator
from sigma_bot.journal import Filter
from sigma_bot.journal.journal import Journal
from sigma_bot.model.messages import TickBatch, TickMessage, ticks_log
from sigma_bot.model.orders import LIVING, OrderRow, State
from tests.crash.crash_servers import folder as temporary
from tests.crash.crash_strategy import CODE
from tests.support import ROOT

D = Decimal
VENUES = {
    "binance": ("BTCUSDT", "BTC", "USDT", D("60000"), D("10"), "10000"),
    "upbit": ("KRW-BTC", "BTC", "KRW", D("90000000"), D("10000"), "50000000"),
}
LATE_S = 0.25
RECONCILE_S = 0.4
PATIENCE_S = 60.0
NOTHING = 0
_numbers = itertools.count(1)


class CaseError(AssertionError):
    """An invariant does not hold."""


@dataclass
class Status:
    """What a bot said last."""

    said: dict[str, Any] = field(default_factory=dict)
    pid: int = 0
    stopped: bool = False


class ForkServer:
    """The process that forks bots. See crash_driver."""

    def __init__(self) -> None:
        self.ends: dict[int, asyncio.Future[int]] = {}
        self.jobs = itertools.count(1)

    async def __aenter__(self) -> ForkServer:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.crash.crash_driver"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        await self.process.stdout.readline()
        self.reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.process.stdin.close()
        await self.process.wait()
        self.reader.cancel()

    async def _read(self) -> None:
        while line := await self.process.stdout.readline():
            told = json.loads(line)
            self.ends[told["id"]].set_result(told["status"])

    def start(self, job: dict[str, Any]) -> asyncio.Future[int]:
        """Fork a bot; its exit status, minus the signal when one ended it."""
        number = next(self.jobs)
        end = self.ends[number] = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps({"id": number, **job}).encode() + b"\n")
        return end


def manifest(venue: str, name: str, code: str = CODE, **risk: Any) -> dict[str, Any]:
    """A LIVE manifest. Its account has the bot's name, so that many cases share a database."""
    symbol, _, currency, _, _, cash = VENUES[venue]
    rules = {"tickSize": "0.01", "lotSize": "0.00001"} if venue == "binance" else {"rules": "upbit"}
    return {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": "Strategy",
        "metadata": {"name": name},
        "spec": {
            "mode": "live",
            "strategy": {"code": code},
            "markets": [{"symbol": symbol, **rules}],
            "account": {
                "venue": venue,
                "name": name,
                "currency": currency,
                "cash": cash,
                "secretRef": {"name": "keys"},
                "confirm": {"account": name, "maxLoss": "10000000"},
            },
            "risk": {
                "maxPosition": "1",
                "maxNotional": "90000000",
                "maxDailyLoss": "10000000",
                "staleAfter": "60s",
                **risk,
            },
        },
    }


class World:
    """What a case happens in. ``crashes``: for each start of the bot where it dies, "" for nowhere."""

    def __init__(
        self,
        server: ForkServer,
        em: Emulator,
        bus_url: str,
        database: str,
        folder: Path,
        crashes: Iterable[str],
    ) -> None:
        self.server, self.em, self.bus_url, self.database, self.folder = server, em, bus_url, database, folder
        self.venue = em.venue
        self.symbol, self.base, self.quote, self.price, self.step, _ = VENUES[em.venue]
        self.bot = f"c{os.getpid()}-{next(_numbers)}"
        self.manifest = manifest(em.venue, self.bot)
        self.crashes = list(crashes)
        self.bus = RedisBus(bus_url, 1000)
        self.seq = 0
        self.status = Status()
        self.changed = asyncio.Event()
        self.starts = 0
        self.kills: list[int] = []
        self.ends: asyncio.Future[int] | None = None
        self.stopping = False
        self.env: dict[str, str] = {}
        self.job: dict[str, Any] = {}
        self.failed: BaseException | None = None
        self.tasks: list[asyncio.Task[None]] = []

    # --- the market

    def book(self, price: Decimal, size: str = "5") -> None:
        """One level on each side, ``step`` away from ``price``."""
        self.price = price
        self.em.exchange.set_book(self.symbol, {price - self.step: D(size)}, {price + self.step: D(size)})

    async def say(self, what: int) -> None:
        """A tick whose volume tells the strategy what to do."""
        self.seq += 1
        p, step = float(self.price), float(self.step)
        tick = TickMessage(self.symbol, p - step, p + step, 5.0, 5.0, p, float(what), p, p, 0, 0)
        batch = TickBatch(self.venue, self.seq, time.time_ns(), (), (tick,))
        await self.bus.append(ticks_log(self.venue), batch.seq, batch.encode())

    # --- the bot

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status = Status()
        while line := await reader.readline():
            said = json.loads(line)
            if "pid" in said:
                status.pid = said["pid"]
                self.status = status
            elif "stopped" in said:
                status.stopped = True
            else:
                status.said = said
            self.changed.set()
        writer.close()

    def start(self) -> None:
        """Start the bot, with the next crash point."""
        crash = self.crashes.pop(0) if self.crashes else ""
        self.starts += 1
        self.status = Status()
        env = {
            "SIGMA_VENUE_URL": self.em.url,
            "SIGMA_API_KEY": self.em.key,
            "SIGMA_API_SECRET": self.em.secret,
            "SIGMA_HOME": str(self.folder / "home"),
            "SIGMA_CRASH_AT": crash,
            **self.env,
        }
        self.last = {
            "manifest": self.manifest,
            "base": str(self.folder),
            "env": env,
            "socket": str(self.folder / "status"),
            "log": str(self.folder / "log"),
            "database": self.database,
            "bus": self.bus_url,
            "ttl": 20.0,  # a busy machine may stand still for long
            "late": LATE_S,
            "reconcile": RECONCILE_S,
            **self.job,
        }
        self.ends = self.server.start(self.last)
        self.ends.add_done_callback(self._ended)

    def _ended(self, end: asyncio.Future[int]) -> None:
        status = end.result()
        self.kills.append(status)
        if not self.stopping and end is self.ends:
            if status == -signal.SIGKILL and self.starts < 6:
                self.start()
            else:
                self.failed = CaseError(f"the bot ended with {status}")
        self.changed.set()

    def kill(self) -> None:
        """Kill the bot, as a power cut would."""
        os.kill(self.status.pid, signal.SIGKILL)

    def kill_when(self, fault: Fault) -> None:
        """Kill the bot as soon as a fault holds its request, then let go."""

        async def wait() -> None:
            await fault.reached.wait()
            self.kill()
            await asyncio.shield(self.ends)  # type: ignore[arg-type]
            fault.release()

        self.tasks.append(asyncio.create_task(wait()))

    async def until(self, what: Callable[[], bool], why: str) -> None:
        """Wait for something to be so; looked at whenever bot or venue may have changed."""
        end = time.monotonic() + PATIENCE_S
        while not what():
            if self.failed is not None:
                raise self.failed
            if time.monotonic() > end:
                raise CaseError(f"not in {PATIENCE_S:.0f} s: {why}; the bot said {self.status.said}")
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), 0.02)

    async def begin(self) -> None:
        """Start the bot and wait until ticks reach it."""
        self.start()
        await self.until(lambda: bool(self.status.said), "the bot runs")
        while not self.status.said.get("tick"):
            await self.say(NOTHING)
            with contextlib.suppress(CaseError):
                await self._within(0.05, lambda: bool(self.status.said.get("tick")))

    async def _within(self, seconds: float, what: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while not what() and time.monotonic() < end:
            if self.failed is not None:
                raise self.failed
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), seconds)

    def orders(self) -> list[Any]:
        """Our orders at the venue."""
        return [o for o in self.em.exchange.accounts["main"].orders if o.ticket.client_id.startswith("sx-")]

    def settled(self) -> bool:
        """Whether the bot has handled the last tick and agrees with the venue on every order."""
        said = self.status.said
        if not said or said["tick"] < self.seq or said["closed"] or said["leaving"] or self.ends.done():
            return False
        rows = said["rows"]
        if any(state in ("intent", "unknown") for state in rows.values()):
            return False
        return all(
            agrees(o, rows[o.ticket.client_id])
            if o.ticket.client_id in rows
            else o.status.value != "open"  # settled before the bot was started again
            for o in self.orders()
        )

    async def settle(self) -> None:
        """Wait for ``settled``."""
        await self.until(self.settled, "bot and venue agree")

    async def tell(self, what: int) -> None:
        """Say something and wait until it is settled."""
        await self.say(what)
        await self.settle()

    async def stop(self) -> None:
        """End the bot cleanly; should its last crash point lie on that way, it is started once more."""
        self.stopping = True
        os.kill(self.status.pid, signal.SIGTERM)
        try:
            status = await asyncio.wait_for(asyncio.shield(self.ends), PATIENCE_S)  # type: ignore[arg-type]
        except TimeoutError:
            os.kill(self.status.pid, signal.SIGUSR2)
            await asyncio.sleep(0.5)
            raise CaseError("the bot does not end when asked to") from None
        if status == -signal.SIGKILL and self.last["env"]["SIGMA_CRASH_AT"]:
            self.stopping = False
            self.start()
            await self.tell(NOTHING)
            await self.stop()
        elif status != 0:
            raise CaseError(f"the bot did not end cleanly: {status}")

    def log(self) -> str:
        """What the bots wrote."""
        return (self.folder / "log").read_text()

    async def logged(self, text: str) -> None:
        """Wait until a bot writes something."""
        await self.until(lambda: text in self.log(), f"{text!r} in the log")

    async def listened(self) -> None:
        """Say nothing of importance until the bot hears it: after the bus was away."""
        heard = self.status.said["tick"]
        while self.status.said["tick"] == heard:
            with contextlib.suppress(BusError):
                await self.say(NOTHING)
            await self._within(0.1, lambda: self.status.said["tick"] > heard)

    async def another(self, **job: Any) -> int:
        """Start a second bot of the same name beside the first; its exit code."""
        return await self.server.start({**self.last, **job, "socket": str(self.folder / "nowhere")})

    async def take_over(self) -> None:
        """Start bots of the same name until one gets the lease."""
        self.stopping = True
        while True:
            self.start()
            end = self.ends
            await self.until(lambda e=end: e.done() or bool(self.status.said), "a second bot runs")  # type: ignore[misc]
            if not end.done():
                break
            assert end.result() == 4
        self.stopping = False

    async def close(self) -> None:
        """End whatever still runs."""
        self.stopping = True
        if self.ends is not None and not self.ends.done():
            with contextlib.suppress(ProcessLookupError):
                if self.status.pid:
                    os.kill(self.status.pid, signal.SIGKILL)
                    await self.ends
        for task in self.tasks:
            task.cancel()
        await self.bus.close()

    # --- what must hold

    async def check(self, journal: Journal) -> None:
        """Every invariant. Raises CaseError."""
        rows = [e.row for e in await journal.orders(Filter(self.bot, limit=1000))]
        fills = [e.row for e in await journal.fills(Filter(self.bot, limit=None))]
        check_orders(rows, self.orders())
        account = self.em.exchange.accounts["main"]
        want = {c: account.opening.get(c, D(0)) for c in (self.base, self.quote)}
        for f in fills:
            sign = 1 if f.side == "buy" else -1
            want[self.base] += sign * f.quantity
            want[self.quote] -= sign * f.quantity * f.price
            want[f.fee_currency] -= f.fee
        for currency, amount in want.items():
            holding = account.holding(currency)
            held = holding.free + holding.locked
            if held != amount:
                raise CaseError(f"{currency}: the venue holds {held}, the journal says {amount}")
        if len(fills) != len(account.fills()):
            raise CaseError(f"{len(fills)} fills in the journal, {len(account.fills())} at the venue")
        living = sum(row.state in LIVING for row in rows)
        if living != self.status.said["sent"]:
            raise CaseError(f"{living} orders live, the engine waits for {self.status.said['sent']}")
        held = want[self.base]
        lot = D("0.00001") if self.venue == "binance" else D("0.00000001")
        engine = self.status.said["lots"][0] * lot - D(self.status.said["residual"].get(self.symbol, "0"))
        if engine != held:
            raise CaseError(f"the engine holds {engine}, the ledger {held}")


async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Listens to a bot that nobody waits for."""
    while await reader.read(1 << 16):
        pass
    writer.close()


def agrees(order: Any, state: str | None) -> bool:
    """Whether a row's state is the venue's."""
    status = order.status.value
    if status == "open":
        return state == ("partial" if order.executed else "open")
    if status == "expired" and not order.executed:
        return state in ("expired", "cancelled")
    return state == status or (
        status in ("cancelled", "expired") and state in ("cancelled", "expired", "filled")
    )


def check_orders(rows: list[OrderRow], orders: list[Any]) -> None:
    """Each order at the venue has one row, each row is settled, and none was sent twice."""
    by_id = {row.client_id: row for row in rows}
    if len(by_id) != len(rows):
        raise CaseError(f"client ids twice in the journal: {sorted(row.client_id for row in rows)}")
    sent = [o.ticket.client_id for o in orders]
    if len(set(sent)) != len(sent):
        raise CaseError(f"sent twice: {sorted(sent)}")
    for o in orders:
        row = by_id.get(o.ticket.client_id)
        if row is None:
            raise CaseError(f"{o.ticket.client_id} is at the venue and not in the journal")
        if not agrees(o, str(row.state)):
            raise CaseError(f"{row.client_id}: {row.state} in the journal, {o.status.value} at the venue")
    for row in rows:
        if row.client_id in sent:
            continue
        if row.state in LIVING or row.filled:
            raise CaseError(f"{row.client_id}: {row.state} in the journal, unknown to the venue")
        if row.state not in (State.REJECTED, State.NOT_FOUND):
            raise CaseError(f"{row.client_id}: {row.state}, but the venue never had it")


@contextlib.asynccontextmanager
async def world(
    server: ForkServer, venue: str, bus_url: str, database: str, crashes: Iterable[str] = ()
) -> AsyncIterator[World]:
    """A case's world; its bot is not started yet."""
    with temporary("sigma-case-") as folder:
        opening = {VENUES[venue][2]: D(VENUES[venue][5]) * 2}
        async with Emulator(venue, [VENUES[venue][0]], opening) as em:
            w = World(server, em, bus_url, database, folder, crashes)
            listening = await asyncio.start_unix_server(w._talk, str(w.folder / "status"))
            other = await asyncio.start_unix_server(ignore, str(w.folder / "nowhere"))
            w.book(w.price)
            await w.bus._redis.flushdb()
            try:
                yield w
            except BaseException as error:
                log = w.folder / "log"
                if log.exists():
                    error.add_note(log.read_text()[-4000:])
                raise
            finally:
                await w.close()
                listening.close()
                other.close()


Tell = Callable[[World], Awaitable[None]]
