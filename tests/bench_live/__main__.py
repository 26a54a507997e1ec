"""Measures, prints, and says what was missed. ``python -m tests.bench_live [--bots 50] [--seconds 60]``."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench_live.scene import Scene, rss_mib, scene, status, wait_for

PRELOAD = ("sigma_bot.trading.service", "sigma_bot.trading.live_session", "sigma_bot.venues.binance.private",
           "sigma_bot.feed.feed", "sigma_bot.emulator.server", "ccxt.async_support.binance",
           "ccxt.pro.binance")  # fmt: skip


def percentile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


def show(title: str, values: list[float], bounds: str) -> None:
    """Mean, percentiles and a histogram, ms."""
    values.sort()
    if not values:
        print(f"{title}: nothing measured")
        return
    mean = sum(values) / len(values)
    p50, p99, p999 = (percentile(values, share) for share in (0.5, 0.99, 0.999))
    print(f"{title}: n={len(values)} mean={mean:.2f} p50={p50:.2f} p99={p99:.2f} p99.9={p999:.2f} "
          f"max={values[-1]:.2f} ms (to reach: {bounds})")  # fmt: skip
    edges = [1, 2, 3, 5, 8, 12, 20, 50, 100, 600]
    below = 0
    for edge in [*edges, float("inf")]:
        count = sum(1 for v in values if v <= edge) - below
        below += count
        print(f"    <= {edge:>5} ms {count:>7}  {'#' * round(50 * count / len(values))}")


async def created(database: str, bots: list[str]) -> dict[str, tuple[str, int, int]]:
    """By client id: bot, tick, when the journal's row was made."""
    from sigma_bot.journal import Filter, open_journal

    found = {}
    async with await open_journal(database) as journal:
        for bot in bots:
            for entry in await journal.orders(Filter(bot, limit=100_000)):
                found[entry.row.client_id] = (bot, entry.row.tick, entry.row.created)
    return found


async def tick_times(redis: str) -> dict[int, tuple[int, int]]:
    """By sequence number: end of the tick's interval, and when its newest message was received."""
    from sigma_bot.bus import open_bus
    from sigma_bot.model.messages import decode_batch, ticks_log

    bus, found, after = open_bus(redis), {}, 0
    while page := await bus.read(ticks_log("binance"), after, 5000):
        for seq, payload in page:
            batch = decode_batch(payload)
            newest = max((tick.received_ts for tick in batch.ticks), default=0)
            found[seq], after = (batch.ts, newest), seq
    await bus.close()
    return found


def latency(s: Scene, bots: int, seconds: float, title: str, bounds: str) -> None:
    """``bots`` bots, one order a second each."""
    names = [f"bot{i}" for i in range(bots)]
    ports = {name: s.bot(name, every=10, phase=i) for i, name in enumerate(names)}
    for name in names:
        wait_for(lambda name=name: status(ports[name]).get("ticks"), 300)  # type: ignore[misc]
    began = time.time_ns()
    time.sleep(seconds)
    ended = time.time_ns()
    arrived = {}
    for name in names:
        for order in s.admin("GET", f"accounts/{name}")["orders"]:
            arrived[order["client_id"]] = order["created"]
        s.stop(name)
    ticks = asyncio.run(tick_times(s.redis))
    rows = asyncio.run(created(s.database, names))
    from_tick, from_message = [], []
    for client_id, (_, tick, _) in rows.items():
        at = arrived.get(client_id)
        # By the tick, not by the arrival: a bot that is still catching up is no measure.
        if at is not None and tick in ticks and began < ticks[tick][0] < ended:
            from_tick.append((at - ticks[tick][0]) / 1e6)
            from_message.append((at - ticks[tick][1]) / 1e6)
    show(f"{title}: tick complete → order at the venue", from_tick, bounds)
    show("    with the wait for the end of the 100 ms interval: message received → order at the venue",
         from_message, "the user's bound: mean 250, p99 600")  # fmt: skip


def throughput(s: Scene) -> None:
    """One bot that sends as fast as it can."""
    port = s.bot("burst", every=1, count=100, ioc=True)
    wait_for(lambda: status(port).get("ticks"), 60)
    time.sleep(20)
    orders = [o["created"] for o in s.admin("GET", "accounts/burst")["orders"]]
    s.stop("burst")
    orders.sort()
    best = max(
        (len([t for t in orders if start <= t < start + 5_000_000_000]) / 5 for start in orders[::50]),
        default=0.0,
    )
    print(f"orders sent by one bot, journalled on PostgreSQL with fsync: {best:.0f}/s (to reach: 500)")


def memory(s: Scene) -> None:
    """Fresh processes, nothing shared."""
    for mode, most in (("sim", 75), ("live", 170)):
        name = f"rss-{mode}"
        s.bot(name, mode)  # writes the manifest and opens the account
        s.stop(name)
        environment = {
            **os.environ, "MODE": mode, "SIGMA_VENUE_URL": s.url, "SIGMA_REDIS_URL": s.redis,
            "SIGMA_DATABASE_URL": s.database, "SIGMA_API_KEY": f"{name}-key",
            "SIGMA_API_SECRET": f"{name}-secret", "SIGMA_HEALTH_PORT": "0",
        }  # fmt: skip
        program = [
            str(Path(sys.executable).with_name("sigma-app")),
            "--config",
            str(s.folder / f"{name}.yaml"),
        ]
        process = subprocess.Popen(program, env=environment, stderr=subprocess.DEVNULL)
        time.sleep(12)
        print(f"{mode.upper()} bot: {rss_mib(process.pid):.0f} MiB resident (to reach: {most})")
        process.terminate()
        process.wait()


def restart(s: Scene) -> None:
    """From the start of the process to its first tick, with a past of 1,000 orders."""
    port = s.bot("past", every=2, count=50)
    wait_for(lambda: status(port).get("orders", 0) >= 1000, 120)
    s.stop("past")
    began = time.monotonic()
    port = s.bot("past", every=100_000)
    wait_for(lambda: status(port).get("ticks"), 60)
    print(f"restart to first tick, forked, 1,000 past orders: {time.monotonic() - began:.1f} s (to reach: 3)")
    s.stop("past")


def halt(s: Scene) -> None:
    """From the command to the last order that arrives."""
    port = s.bot("halted", every=2, count=5)
    wait_for(lambda: status(port).get("orders", 0) > 20, 60)

    async def order_halt() -> int:
        from sigma_bot.bus import open_bus
        from sigma_bot.journal import open_journal
        from sigma_bot.model.messages import CONTROL

        async with await open_journal(s.database) as journal:
            at = time.time_ns()
            await journal.control("strategy", "halted", "halt", "bench", by="bench", now=at)
            bus = open_bus(s.redis)
            await bus.publish(CONTROL, b"")
            await bus.close()
            return at

    at = asyncio.run(order_halt())
    time.sleep(3)
    last = max(o["created"] for o in s.admin("GET", "accounts/halted")["orders"])
    print(f"halt: last order {max(0.0, (last - at) / 1e6):.0f} ms after the command (to reach: 200)")
    s.stop("halted")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bots", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", default="")
    said = parser.parse_args()
    for name in PRELOAD:
        importlib.import_module(name)
    print(f"{os.cpu_count()} cores, {said.bots} bots, {said.seconds:g} s a measurement")
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder)) as s:
        s.venue()
        s.feed()
        parts: dict[str, Any] = {
            "memory": lambda: memory(s),
            "halt": lambda: halt(s),
            "restart": lambda: restart(s),
            "throughput": lambda: throughput(s),
            "latency": lambda: latency(s, said.bots, said.seconds, "alone", "mean 5, p99 20"),
            "busy": lambda: busy(s, said.bots, said.seconds),
        }
        for name, part in parts.items():
            if not said.only or name in said.only.split(","):
                part()
                sys.stdout.flush()


def busy(s: Scene, bots: int, seconds: float) -> None:
    """The same while both cores are taken by backtests at low priority."""
    sigma = str(Path(sys.executable).with_name("sigma"))
    example = Path(__file__).parents[2] / "examples/ema-cross/backtest.yaml"
    # Linux weighs a session of its own as a whole (autogroup): nice alone counts only inside it
    command = (
        "[ -w /proc/self/autogroup ] && echo 19 > /proc/self/autogroup; "
        f"while true; do {sigma} sweep {example} --param fast=2:60 --param slow=61:200 "
        f"--db {s.folder}/sweep.db >/dev/null 2>&1; done"
    )
    load = subprocess.Popen(["setsid", "nice", "-n", "19", "sh", "-c", command])
    try:
        latency(s, bots, seconds, "while a sweep takes both cores", "p99 50")
    finally:
        subprocess.run(["pkill", "-KILL", "-s", str(load.pid)], check=False)
        load.wait()


if __name__ == "__main__":
    main()
