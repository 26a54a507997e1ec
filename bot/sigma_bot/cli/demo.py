"""``sigma demo``: an exchange, a feed, a bot and a backtest of what the bot saw, all on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvloop

from sigma_bot.errors import SigmaError

if TYPE_CHECKING:
    from sigma_bot.bus.interface import Bus
    from sigma_bot.trading.runner import BotRunner

CODE = '''"""Long while the fast average of the price is above the slow one."""

from sigma_bot import Ema, Strategy, param


class Cross(Strategy):
    fast: int = param(6, ge=1)
    slow: int = param(18, ge=2)
    fast_ema: Ema
    slow_ema: Ema

    def on_start(self):
        self.fast_ema.setup(self.fast)
        self.slow_ema.setup(self.slow)

    def on_tick(self, tick, broker):
        fast = self.fast_ema.update(tick.mid)
        slow = self.slow_ema.update(tick.mid)
        if not self.slow_ema.ready:
            return
        if fast > slow and broker.position == 0:
            broker.target_fraction(0.5)
        elif fast < slow and broker.position > 0:
            broker.close()
'''
MANIFEST = """apiVersion: sigma-x.io/v1alpha1
kind: Strategy
metadata: {name: demo}
spec:
  mode: sim
  strategy: {file: cross.py}
  markets: [{symbol: KRW-BTC, rules: upbit}]
  account: {venue: upbit, name: demo, currency: KRW, cash: "100000000"}
"""
SPEED = 30.0
STATUS_S = 10.0


@click.command()
@click.option(
    "--seconds",
    type=click.IntRange(10, 3600),
    default=30,
    show_default=True,
    help="How long the bot trades.",
)
def demo(seconds: int) -> None:
    """Show the whole chain in a minute, without a network.

    An emulated exchange replays generated prices; a feed makes ticks of what its WebSocket says and records
    them; a bot trades on them with virtual money, and is stopped and started once on the way; then the
    recorded ticks are backtested, and every order and fill is compared.
    """
    with tempfile.TemporaryDirectory(prefix="sigma-demo-") as folder:
        same = uvloop.run(_demo(Path(folder), seconds))
    click.get_current_context().exit(0 if same else 1)


async def _demo(folder: Path, seconds: int) -> bool:
    from sigma_bot.bus import open_bus
    from sigma_bot.emulator.player import Player
    from sigma_bot.emulator.recording import fitting, recorded
    from sigma_bot.emulator.registry import rules_for
    from sigma_bot.emulator.server import Emulator
    from sigma_bot.feed.feed import Feed

    (folder / "cross.py").write_text(CODE)
    (folder / "demo.yaml").write_text(MANIFEST)
    symbols = ("KRW-BTC",)
    source = recorded("synthetic", symbols)
    rules = fitting(rules_for("upbit", symbols), source)
    emulator = Emulator("upbit", symbols, rules=rules)
    emulator.player = Player(emulator.exchange, source, SPEED)
    async with emulator:
        os.environ["SIGMA_VENUE_URL"] = emulator.url
        click.echo(f"exchange  an emulated Upbit replays generated prices at {SPEED:g} x: {emulator.url}")
        bus = open_bus("memory://", folder / "spool")
        feed = asyncio.create_task(Feed("upbit", bus, symbols, folder / "ticks").run())
        click.echo("feed      WebSocket → ticks of 100 ms → bus and recording")
        try:
            await _trade(folder, bus, seconds)
        finally:
            feed.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feed
            await bus.close()
    return await asyncio.to_thread(_compare, folder)


async def _trade(folder: Path, bus: Bus, seconds: int) -> None:
    """The bot, in two sessions."""
    from sigma_bot.health.heartbeat import Heartbeat
    from sigma_bot.journal import open_journal
    from sigma_bot.spec import load_manifest
    from sigma_bot.trading.runner import BotRunner, metrics_of
    from sigma_bot.trading.settings import Settings

    manifest = load_manifest(folder / "demo.yaml", "Strategy")
    click.echo(f"bot       SIM, an EMA cross on ticks, for {seconds} s")
    async with await open_journal(f"sqlite:///{folder / 'sigma.db'}") as journal:
        for part in (seconds // 2, seconds - seconds // 2):
            settings = Settings(manifest, folder)
            runner = BotRunner(settings, journal, bus, Heartbeat(), metrics_of(manifest))
            task = asyncio.create_task(runner.run())
            try:
                await _watch(runner, task, part)
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            click.echo("bot       stopped; its state is in the journal")


async def _watch(runner: BotRunner, task: asyncio.Task[None], seconds: float) -> None:
    """Show how it goes."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        await asyncio.wait({task}, timeout=min(left, STATUS_S))
        if task.done():
            task.result()
        facts = runner.facts()
        if facts.get("ticks"):
            done = f"{facts['orders']:>3} orders, {facts['fills']:>3} fills"
            click.echo(f"bot       {facts['ticks']:>5} ticks, {done}, equity {facts['equity']:,.0f} KRW")
    if not runner.facts().get("ticks"):
        raise SigmaError("demo: no tick came; SIGMA_DEBUG=1 shows why")


def _compare(folder: Path) -> bool:
    from sigma_bot.cli.journal import use_journal
    from sigma_bot.cli.parity import report
    from sigma_bot.parity.run import check, read_run
    from sigma_bot.spec import load_manifest

    sim = use_journal(lambda journal: read_run(journal, "demo", None), f"sqlite:///{folder / 'sigma.db'}")
    told = load_manifest(folder / "demo.yaml", "Strategy")
    verdict = check(sim, folder / "ticks", told, folder)
    click.echo("backtest  of the recorded ticks:")
    click.echo(report(verdict))
    return verdict.difference is None and bool(sim.trace.orders)
