"""Everything that trades, as real processes on this machine: PostgreSQL, Redis, venue, feed, bots."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support import servers

SYMBOL, START = "BTCUSDT", 60_000.0
STRATEGY = """
from sigma_bot import GTC, IOC, Strategy, param

class Pulse(Strategy):
    '''Every `every` ticks `count` bids far below the market; the next tick takes them back, or they end
    by themselves (`ioc`).'''
    every: int = param(10, ge=1)
    count: int = param(1, ge=1)
    phase: int = param(0, ge=0)
    ioc: bool = param(False)
    seen: int
    resting: bool

    def on_tick(self, tick, broker):
        self.seen += 1
        if self.resting:
            broker.cancel_all()
            self.resting = False
        elif (self.seen + self.phase) % self.every == 0:
            for i in range(self.count):
                broker.buy(0.001, limit=tick.bid * 0.9, tif=IOC if self.ioc else GTC)
            self.resting = not self.ioc
"""
MANIFEST = """
apiVersion: sigma-x.io/v1alpha1
kind: Strategy
metadata: {{name: {name}}}
spec:
  mode: {mode}
  strategy: {{file: pulse.py, params: {{every: {every}, count: {count}, phase: {phase}, ioc: {ioc}}}}}
  markets: [{{symbol: BTCUSDT, tickSize: "0.01", lotSize: "0.00001"}}]
  account:
    venue: binance
    name: {name}
    currency: USDT
    cash: "50000"
    secretRef: {{name: keys}}
    confirm: {{account: {name}, maxLoss: "1000"}}
  risk: {{maxPosition: "10", maxNotional: "9000000", maxDailyLoss: "1000", staleAfter: 30s}}
"""


def forked(work: Callable[[], Any], log: Path) -> int:
    """Run in a child process; its output goes to ``log``."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nothing outlives the bench
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        code = int(work() or 0)
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - whatever it is, the log gets it and the child ends
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def emulate(port: int, every: float) -> None:
    """The venue; its market moves every ``every`` seconds."""
    from decimal import Decimal

    from sigma_bot.emulator.server import Emulator

    async def run() -> None:
        async with Emulator("binance", [SYMBOL], port=port) as em:
            # a bench of ours, not of the venue's patience
            em.limiter.spend = lambda *_: 0  # type: ignore[method-assign]
            step, n = Decimal("0.01"), 0
            while True:
                price = Decimal(60_000) + step * (n % 50)
                em.exchange.set_book(SYMBOL, {price: Decimal(3)}, {price + step: Decimal(3)})
                n += 1
                await asyncio.sleep(every)

    asyncio.run(run())


class Scene:
    """Starts and stops everything."""

    def __init__(self, folder: Path, postgres: servers.Postgres, redis: str) -> None:
        self.folder, self.database, self.redis = folder, postgres.create_database(), redis
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.children: dict[str, int] = {}
        (folder / "pulse.py").write_text(STRATEGY)

    def environment(self, **more: str) -> None:
        """Set in a child what a container would have."""
        os.environ.update(
            SIGMA_VENUE_URL=self.url,
            SIGMA_REDIS_URL=self.redis,
            SIGMA_DATABASE_URL=self.database,
            SIGMA_HOME=str(self.folder / "home"),
            **more,
        )

    def start(self, name: str, work: Callable[[], Any]) -> int:
        self.children[name] = forked(work, self.folder / f"{name}.log")
        return self.children[name]

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        pid = self.children.pop(name)
        os.kill(pid, number)
        os.waitpid(pid, 0)

    def close(self) -> None:
        for name in list(self.children):
            self.stop(name, signal.SIGKILL)

    def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_emulator/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def venue(self, every: float = 0.05) -> None:
        self.start("venue", lambda: emulate(self.port, every))
        wait_for(lambda: self.admin("GET", "state"), 20)

    def feed(self) -> None:
        def work() -> None:
            self.environment()
            from sigma_bot.cli.main import run

            run(["feed", "--venue", "binance", "--symbols", SYMBOL])

        self.start("feed", work)

    def bot(self, name: str, mode: str = "live", **params: int | bool) -> int:
        """Start one bot with an account of its own; its health port."""
        path = self.folder / f"{name}.yaml"
        said = {"every": 10, "count": 1, "phase": 0, "ioc": False} | params
        words = {key: str(value).lower() for key, value in said.items()}
        path.write_text(MANIFEST.format(name=name, mode=mode, **words))
        with contextlib.suppress(OSError):
            self.admin("POST", "accounts", {"name": name, "balances": {"USDT": "100000", "BTC": "1"}})
        port = free_port()

        def work() -> None:
            unlimited()
            self.environment(
                MODE=mode,
                SIGMA_API_KEY=f"{name}-key",
                SIGMA_API_SECRET=f"{name}-secret",
                SIGMA_HEALTH_PORT=str(port),
            )
            from sigma_bot.app import main

            main(["--config", str(path)])

        self.start(name, work)
        return port


def unlimited() -> None:
    """Ask the venue as often as we can: its limits of 10 orders a second are not what is measured."""
    from sigma_bot.venues import limiter, limiter_redis

    async def free(*_: object, **__: object) -> None:
        return None

    limiter.LocalLimiter.acquire = free  # type: ignore[method-assign]
    limiter_redis.RedisLimiter.acquire = free  # type: ignore[method-assign]


def wait_for(ask: Callable[[], Any], seconds: float) -> Any:
    """The first answer that is true; an error counts as none."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, ValueError):
            if answer := ask():
                return answer
        if time.monotonic() > end:
            raise TimeoutError("no answer in time")
        time.sleep(0.05)


def status(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
        return dict(json.load(answer))


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


@contextlib.contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Servers around a scene."""
    with servers.postgres() as postgres, servers.redis() as redis:
        made = Scene(folder, postgres, redis)
        try:
            yield made
        finally:
            made.close()
