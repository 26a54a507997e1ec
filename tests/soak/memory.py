"""``python -m tests.soak.memory``: a SIM and a LIVE bot at many times the pace of life, and what they hold.

Ticks are put onto the bus by this process, and a bot's waits of a fifth of a second or more are divided by
the same factor, so that timers, checkpoints and lease keep step with them: minutes stand for hours.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import tempfile
import time
from pathlib import Path

from sigma_bot.bus import open_bus
from sigma_bot.model.messages import TickBatch, TickMessage, ticks_log
from tests.soak.run import START_S, _journal, _state, until, until_async
from tests.soak.stage import Bot, Stage
from tests.soak.watch import rss_mib

VENUE = "binance"
SAMPLE_S = 10.0
# read by Python itself at the start of each bot, from a folder in its path
FASTER = """
import asyncio, os, sys

factor = float(os.environ["FASTER"])
real = asyncio.sleep


async def sleep(delay, *result):
    bot = sys.modules.get("sigma_bot.trading.bot")
    if bot is not None:
        bot.CHECKPOINT_S = 5.0 / factor
    return await real(delay / factor if delay >= 0.2 else delay, *result)


asyncio.sleep = sleep
"""


async def pump(stage: Stage, rate: float) -> None:
    """Batches of the market onto the bus, ``rate`` a second, for ever."""
    bus = open_bus(stage.env["SIGMA_REDIS_URL"])
    rows = [line.split(",") for line in (stage.folder / f"{VENUE}.csv").read_text().splitlines()[1:]]
    began = time.monotonic()
    try:
        for seq, row in enumerate(itertools.cycle(rows), 1):
            now = time.time_ns()
            tick = TickMessage(row[1], *map(float, row[2:10]), now, now)  # type: ignore[arg-type, call-arg] # a row has eight numbers
            await bus.append(ticks_log(VENUE), seq, TickBatch(VENUE, seq, now, (), (tick,)).encode())
            await asyncio.sleep(max(0.0, began + seq / rate - time.monotonic()))
    finally:
        await bus.close()


async def watch(bots: list[Bot], seconds: float, factor: float) -> None:
    """Scrape as Prometheus would, and print what each bot holds."""
    began, shown = time.monotonic(), 0.0
    while (spent := time.monotonic() - began) < seconds:
        for bot in bots:
            assert bot.running, bot.log.read_text()[-2000:]
            await asyncio.to_thread(bot.ask, "/metrics")
        if spent >= shown:
            held = "  ".join(f"{bot.mode} {rss_mib(bot.pid):.2f} MiB" for bot in bots)
            print(f"{spent / 60:5.1f} min, for {spent * factor / 60:6.1f}: {held}", flush=True)
            shown += SAMPLE_S
        await asyncio.sleep(1.0)


async def measure(folder: Path, seconds: float, factor: float) -> None:
    """Start everything, watch, end everything."""
    (folder / "faster").mkdir()
    (folder / "faster" / "sitecustomize.py").write_text(FASTER)
    stage = Stage(folder, [VENUE], 2, seed=7)
    try:
        for server in (stage.postgres, stage.redis):
            server.start()
        await until(lambda: stage.answers(stage.postgres_port) and stage.answers(stage.redis_port), START_S)
        stage.venues[VENUE].start()
        await until(lambda: _state(stage, VENUE), START_S)
        await until_async(lambda: _journal(stage), START_S)
        for bot in stage.bots:
            if bot.mode == "live":
                money = {bot.market.quote: str(bot.market.price * 20), bot.market.base: "10"}
                stage.admin(VENUE, "POST", "accounts", {"name": bot.name, "balances": money})
            path = os.pathsep.join(filter(None, (str(folder / "faster"), bot.env.get("PYTHONPATH"))))
            bot.env |= {"PYTHONPATH": path, "FASTER": f"{factor:g}"}
            bot.start()
        ticks = asyncio.create_task(pump(stage, 10 * factor))
        watching = asyncio.create_task(watch(stage.bots, seconds, factor))
        await asyncio.wait({ticks, watching}, return_when=asyncio.FIRST_COMPLETED)
        for task in (ticks, watching):
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(ticks, watching, return_exceptions=True)
    finally:
        await asyncio.to_thread(stage.close)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.memory", description=__doc__)
    parser.add_argument("--minutes", type=float, default=6, help="how long (6)")
    parser.add_argument("--factor", type=float, default=10, help="how many times faster than life (10)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sigma-memory-") as folder:
        asyncio.run(measure(Path(folder), given.minutes * 60, given.factor))


if __name__ == "__main__":
    main()
