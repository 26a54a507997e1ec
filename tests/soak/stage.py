"""Real processes on this machine: PostgreSQL, Redis, venues, feeds, bots. Each can be killed and started."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import servers

PYTHON = sys.executable
SIGMA = [PYTHON, "-c", "from sigma_bot.cli.main import main; main()"]
APP = [PYTHON, "-c", "from sigma_bot.app import main; main()"]
STRATEGY = '''from sigma_bot import IOC, Strategy, param


class Churn(Strategy):
    """Something of everything, every few ticks: market and limit orders, a bracket, cancels, a close."""

    every: int = param(15, ge=1)
    money: float = param(20000.0, gt=0)
    seen: int

    def on_tick(self, tick, broker):
        self.seen += 1
        if self.seen % self.every != 0:
            return
        step = self.seen // self.every % 7
        size = self.money / tick.ask
        if step == 0:
            broker.buy(size)
        elif step == 1:
            broker.buy(size, limit=tick.bid)
        elif step == 2:
            broker.cancel_all()
        elif step == 3:
            broker.close()
        elif step == 4 and broker.position == 0:
            broker.buy(size, limit=tick.ask, stop_loss=tick.bid * 0.999, take_profit=tick.ask * 1.001)
        elif step == 5:
            broker.buy(size, limit=tick.ask, tif=IOC)
        elif step == 6:
            broker.close()
'''


@dataclass(frozen=True)
class Market:
    """What is traded at a venue: a symbol, its currencies, a first price, the price step, and the rules as a
    manifest writes them."""

    venue: str
    symbol: str
    base: str
    quote: str
    price: int
    step: int
    rules: str
    money: str
    cash: str
    late_s: float  # after so long an order that was not found has not arrived


MARKETS = {
    "binance": Market(
        "binance",
        "BTCUSDT",
        "BTC",
        "USDT",
        60_000,
        1,
        'tickSize: "0.01", lotSize: "0.00001"',
        "50.0",
        "10000",
        5,
    ),
    "upbit": Market(
        "upbit", "KRW-BTC", "BTC", "KRW", 90_000_000, 1000, "rules: upbit", "20000.0", "10000000", 45
    ),
}
MANIFEST = """apiVersion: sigma-x.io/v1alpha1
kind: Strategy
metadata: {{name: {name}}}
spec:
  mode: {mode}
  strategy: {{file: churn.py, params: {{every: {every}, money: {money}}}}}
  markets: [{{symbol: {symbol}, {rules}}}]
  account:
    venue: {venue}
    name: {name}
    currency: {quote}
    cash: "{cash}"
    secretRef: {{name: keys}}
    confirm: {{account: {name}, maxLoss: "{cash}"}}
  risk: {{maxPosition: "10", maxNotional: "{cash}", maxDailyLoss: "{cash}", staleAfter: 10s}}
"""


class Proc:
    """A program that can be killed and started again, as the same one. The kernel ends it with us."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        env: Mapping[str, str],
        server: bool = False,
    ) -> None:
        self.name, self.command, self.log, self.env = name, list(map(str, command)), log, dict(env)
        self.server = server
        self.port = 0
        """Where it answers about itself; 0: nowhere."""
        self.frozen = False
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.asked = False
        self.exits: Counter[int] = Counter()
        """Exit codes that nobody asked for."""

    def start(self) -> None:
        own = servers._as_user(self.command) if self.server else [
            "setpriv", "--pdeathsig", "KILL", "--", *self.command
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                own, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env, cwd="/"
            )
        self.asked = False
        self.starts += 1

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, number: int) -> None:
        if self.running:
            os.kill(self.pid, number)

    def end(self, number: int, patience_s: float = 30) -> int:
        """Send a signal and wait; killed when that takes too long. The exit code. It stays ended until
        ``start``."""
        assert self.process is not None
        self.asked = True
        self.send(number)
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            return self.process.wait()

    def keep(self) -> None:
        """Start it again if it has ended by itself, as a kubelet would."""
        if self.process is not None and not self.running and not self.asked:
            self.exits[self.process.returncode] += 1
            self.start()

    def ask(self, page: str) -> tuple[int, str]:
        """Status and body of a page; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{page}", timeout=3) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""


@dataclass
class Bot(Proc):
    """A bot with its manifest and where it answers."""

    name: str
    mode: str
    market: Market
    manifest: Path
    port: int
    command: list[str]
    log: Path
    env: dict[str, str]
    server: bool = False
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    asked: bool = False
    exits: Counter[int] = field(default_factory=Counter)
    frozen: bool = False


class Stage:
    """Starts everything in a folder."""

    def __init__(self, folder: Path, venues: Sequence[str], bots: int, seed: int, speed: float = 1.0) -> None:
        self.folder, self.rng, self.speed = folder, random.Random(seed), speed
        self.ticks = folder / "ticks"
        (folder / "churn.py").write_text(STRATEGY)
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SIGMA_")},
            "SIGMA_HOME": str(folder / "home"),
        }
        self._servers()
        self.venues = {name: self._venue(MARKETS[name]) for name in venues}
        self.feeds = {name: self._feed(MARKETS[name]) for name in venues}
        self.bots = [
            self._bot(f"bot{i:02}", "live" if i % 2 == 0 else "sim", MARKETS[venues[i // 2 % len(venues)]])
            for i in range(bots)
        ]

    # --- what there is

    def _servers(self) -> None:
        programs = servers._postgres_programs()
        self.home = servers._folder("sigma-soak-")
        place = self.home.__enter__()
        secret, data = place / "password", place / "data"
        secret.write_text("soak")
        servers._give(secret)
        servers._run_as_user(
            *[programs / "initdb", "-D", data, "--no-sync", "-U", "sigma", "-A", "scram-sha-256"],  # type: ignore[arg-type]
            *["--pwfile", secret, "-E", "UTF8", "--locale=C"],  # type: ignore[arg-type]
        )
        port = servers._free_port()
        settings = (
            "listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={place}",
            "shared_buffers=32MB", "max_connections=200", "restart_after_crash=on",
        )  # fmt: skip
        options = [part for value in settings for part in ("-c", value)]
        self.postgres = Proc(
            "postgres",
            [programs / "postgres", "-D", data, *options],
            self.folder / "postgres.log",
            self.env,
            True,
        )
        self.database = f"postgresql://sigma:soak@127.0.0.1:{port}/postgres"
        self.postgres_port = port
        self.redis_port = servers._free_port()
        keep = ["--save", "", "--appendonly", "no", "--dir", place]
        self.redis = Proc(
            "redis",
            ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", *keep],  # type: ignore[list-item]
            self.folder / "redis.log",
            self.env,
            True,
        )
        self.env |= {
            "SIGMA_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "SIGMA_DATABASE_URL": self.database,
        }

    def _venue(self, market: Market) -> Proc:
        port = servers._free_port()
        data = self.folder / f"{market.venue}.csv"
        write_market(data, market, self.rng)
        command = [
            *[*SIGMA, "replay", data, "--venue", market.venue, "--symbol", market.symbol],
            *["--port", str(port), "--speed", f"{self.speed:g}", "--loop"],
        ]
        proc = Proc(f"venue-{market.venue}", command, self.folder / f"{market.venue}.log", self.env)  # type: ignore[arg-type]
        proc.env["URL"] = f"http://127.0.0.1:{port}"
        return proc

    def _feed(self, market: Market) -> Proc:
        command = [
            *SIGMA, "feed", "--venue", market.venue, "--symbols", market.symbol, "--out", str(self.ticks),
        ]  # fmt: skip
        port = servers._free_port()
        env = {
            **self.env,
            "SIGMA_VENUE_URL": self.url(market.venue),
            "SIGMA_HEALTH_PORT": f"127.0.0.1:{port}",
        }
        proc = Proc(f"feed-{market.venue}", command, self.folder / f"feed-{market.venue}.log", env)
        proc.port = port
        return proc

    def _bot(self, name: str, mode: str, market: Market) -> Bot:
        file = self.folder / f"{name}.yaml"
        file.write_text(
            MANIFEST.format(
                name=name, mode=mode, venue=market.venue, symbol=market.symbol, rules=market.rules,
                quote=market.quote, cash=market.cash, money=market.money, every=self.rng.randint(10, 25),
            )
        )  # fmt: skip
        port = servers._free_port()
        env = {
            **self.env,
            "MODE": mode,
            "SIGMA_VENUE_URL": self.url(market.venue),
            "SIGMA_API_KEY": f"{name}-key",
            "SIGMA_API_SECRET": f"{name}-secret",
            "SIGMA_HEALTH_PORT": f"127.0.0.1:{port}",
        }
        log = self.folder / f"{name}.log"
        return Bot(name, mode, market, file, port, [*APP, "--config", str(file)], log, env)

    def url(self, venue: str) -> str:
        return self.venues[venue].env["URL"]

    def admin(self, venue: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the emulator's own interface."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url(venue)}/_emulator/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    @property
    def all(self) -> list[Proc]:
        """Every process, in the order they are started."""
        return [self.postgres, self.redis, *self.venues.values(), *self.feeds.values(), *self.bots]

    def answers(self, port: int) -> bool:
        """Whether anybody listens there."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    def close(self) -> None:
        """End what still runs."""
        for proc in reversed(self.all):
            if proc.process is not None:
                proc.send(signal.SIGCONT)
                proc.end(signal.SIGINT if proc is self.postgres else signal.SIGKILL)
        self.home.__exit__(None, None, None)


def write_market(path: Path, market: Market, rng: random.Random) -> None:
    """Ten minutes of ticks: a walk with trades at and through the best prices."""
    price, half = market.price, market.step * 5
    lines = ["time,symbol,bid,ask,bid_size,ask_size,last,volume,low,high"]
    for i in range(6000):
        price += rng.choice((-3, -2, -1, 0, 0, 1, 2, 3)) * market.step * rng.randint(1, 6)
        price = max(market.price * 9 // 10, min(market.price * 11 // 10, price))
        bid, ask = price - half, price + half
        last = rng.choice((bid, ask, bid - half, ask + half))
        sizes = f"{rng.uniform(0.05, 2):.4f},{rng.uniform(0.05, 2):.4f}"
        ts = 1_700_000_000_000_000_000 + i * 100_000_000
        volume = f"{rng.uniform(0.01, 1):.4f}"
        lines.append(f"{ts},{market.symbol},{bid},{ask},{sizes},{last},{volume},{last},{last}")
    path.write_text("\n".join(lines) + "\n")
