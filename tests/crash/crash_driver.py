"""Starts bots by forking: everything is imported once, each bot is a process of its own and really dies.

The parent writes one JSON object a line: what ``child`` reads of a job. For each the server forks; the child
runs the product's own ``serve`` and is changed in two ways only: some waits are short (a venue's
``late_arrival_s``, the interval of reconciliations), and after each step it says on a socket where it stands.
When a child has ended, one line {"id", "status"} comes back: its exit code, or minus the signal.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import ssl
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import certifi
import redis.utils as redis_utils

from sigma_bot.spec import parse_manifest
from sigma_bot.trading import bot, crash, executor, live_tasks, service, session
from sigma_bot.trading.settings import Settings
from sigma_bot.venues import ccxt_client, limiter_redis
from sigma_bot.venues.binance import private as binance
from sigma_bot.venues.upbit import private as upbit

CLIENTS = {"binance": binance.BinanceClient, "upbit": upbit.UpbitClient}


def warm() -> None:
    """Import what a bot imports on its way."""
    for name in (
        "aiosqlite",
        "asyncpg",
        "sigma_bot.bus.redis_bus",
        "sigma_bot.venues.limiter_redis",
        "sigma_bot.runtime.loader",
        "sigma_bot.database.driver",
        "sigma_bot.journal",
        "sigma_bot.venues.open",
    ):
        importlib.import_module(name)
    for venue in CLIENTS:
        ccxt_client.exchange_class(venue)
    # one set of root certificates for all bots: reading it is a quarter of a start
    ssl.create_default_context = functools.cache(ssl.create_default_context)  # type: ignore[assignment]
    ssl.create_default_context(cafile=certifi.where())
    redis_utils.get_lib_version = functools.cache(redis_utils.get_lib_version)
    gc.collect()
    gc.freeze()


def child(job: dict[str, Any]) -> int:
    """One bot."""
    os.setpgid(0, 0)
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(job["env"])
    importlib.reload(crash)
    for client in CLIENTS.values():
        client.capabilities = dataclasses.replace(client.capabilities, late_arrival_s=job["late"])  # type: ignore[attr-defined]
    live_tasks.RECONCILE_S = job.get("reconcile", live_tasks.RECONCILE_S)
    watch(job["socket"], job.get("stop_at", ""))
    if "held" in job:
        hold_back(Path(job["held"]))
    signal.signal(signal.SIGUSR2, stacks)
    manifest = parse_manifest(job["manifest"])
    limits = job.get("limits", {})
    for name, value in limits.items():
        import resource

        resource.setrlimit(getattr(resource, name), (value, value))
    settings = Settings(
        manifest,  # type: ignore[arg-type]
        Path(job["base"]),
        on_change=job.get("on_change", "adopt"),
        lease_ttl_s=job["ttl"],
    )
    return service.serve(settings, service.Places(job["database"], job["bus"]), job.get("close"))


def watch(path: str, stop_at: str) -> None:
    """Say where the bot stands, one line for each step it has handled. ``stop_at``: the point at which it is
    frozen, as a virtual machine may be."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.connect(path)
    line.sendall(json.dumps({"pid": os.getpid()}).encode() + b"\n")
    handle = bot.TradingBot.handle

    def tell(self: bot.TradingBot) -> None:
        orders = self.adapter.orders  # type: ignore[attr-defined]
        b = self.decisions.broker
        said = {
            "tick": self.progress.tick,
            "token": self.lease.token,
            "rows": {row.client_id: str(row.state) for row in orders.rows.values()},
            "closed": self.adapter.gate.closed_reason,  # type: ignore[attr-defined]
            "halted": self.progress.halted,
            "points": passed,
            "open": b.n_active,
            "sent": sum(b.orders[slot].venue_state > 0 for slot in b.active[: b.n_active]),
            "leaving": sum(b.orders[slot].venue_state > 1 for slot in b.active[: b.n_active]),
            "lots": [m.lots for m in b.markets[: b.n_markets]],
            "cash": b.cash_quanta,
            "residual": {symbol: str(value) for symbol, value in orders.residual.items()},
        }
        line.sendall(json.dumps(said).encode() + b"\n")

    async def handled(self: bot.TradingBot, item: object) -> None:
        await handle(self, item)  # type: ignore[arg-type]
        tell(self)

    bot.TradingBot.handle = handled  # type: ignore[assignment, method-assign]
    passed: Counter[str] = Counter()

    def point(name: str) -> None:
        passed[name] += 1
        crash.point(name)
        if f"{name}:{passed[name]}" == stop_at:
            line.sendall(b'{"stopped": 1}\n')
            os.kill(os.getpid(), signal.SIGSTOP)

    bot.point = executor.point = session.point = point  # type: ignore[attr-defined]


def hold_back(held: Path) -> None:
    """The rate limit leaves no room for an order while the file is there."""
    acquire = limiter_redis.RedisLimiter.acquire

    async def waiting(
        self: limiter_redis.RedisLimiter, costs: Any, urgent: bool = False, deadline_ns: int | None = None
    ) -> None:
        while deadline_ns is not None and held.exists():
            await asyncio.sleep(0.01)
        await acquire(self, costs, urgent, deadline_ns)

    limiter_redis.RedisLimiter.acquire = waiting  # type: ignore[method-assign]


def stacks(*_: object) -> None:
    """Where every task stands: for a bot that does not end."""
    for task in asyncio.all_tasks():
        task.print_stack(file=sys.stderr)
        print(task.get_coro(), chain(task.get_coro()), file=sys.stderr, flush=True)


def chain(coroutine: Any) -> list[str]:
    """The calls that a coroutine waits in, outermost first."""
    out = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        if frame is not None:
            out.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
    return out


def run(job: dict[str, Any]) -> None:
    """The child's whole life."""
    code = 70
    try:
        code = child(job)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException as error:  # noqa: BLE001 - the process ends here, and the log says why
        traceback.print_exc()
        code = getattr(error, "exit_code", 70)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serve until the parent closes the line."""
    warm()
    wake, told = socket.socketpair()
    for end in (wake, told):
        end.setblocking(False)
    signal.set_wakeup_fd(told.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    stdin = sys.stdin.buffer.raw
    selector = selectors.DefaultSelector()
    selector.register(stdin, selectors.EVENT_READ)
    selector.register(wake, selectors.EVENT_READ)
    names: dict[int, int] = {}
    rest = b""
    print("{}", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is wake:
                wake.recv(4096)
                reap(names)
                continue
            read = os.read(stdin.fileno(), 1 << 20)
            if not read:
                for pid in names:
                    os.kill(pid, signal.SIGKILL)
                return
            *lines, rest = (rest + read).split(b"\n")
            for text in lines:
                start(json.loads(text), names)


def start(job: dict[str, Any], names: dict[int, int]) -> None:
    """Fork one bot."""
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        run(job)
    names[pid] = job["id"]


def reap(names: dict[int, int]) -> None:
    """Tell which bots have ended."""
    while names:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        print(json.dumps({"id": names.pop(pid), "status": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
