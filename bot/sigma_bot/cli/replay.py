"""``sigma replay``: an exchange emulator that replays recorded (or generated) data."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import uvloop

from sigma_bot.emulator.registry import NAMES, emulated
from sigma_bot.errors import BadInputError

if TYPE_CHECKING:
    from sigma_bot.emulator.server import Emulator


@dataclass(frozen=True)
class Wanted:
    """What the command was asked for."""

    data: str
    symbols: tuple[str, ...]
    venue: str
    speed: float
    host: str
    port: int
    loop: bool
    paused: bool
    depth: int


@click.command()
@click.argument("data")
@click.option(
    "--venue",
    type=click.Choice(NAMES),
    default="upbit",
    show_default=True,
    help="Exchange to emulate.",
)
@click.option("--symbol", "symbols", multiple=True, help="Market to serve; repeatable. [KRW-BTC or BTCUSDT]")
@click.option("--speed", type=float, default=1.0, show_default=True, help="Recorded seconds in a second.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="0: any free.")
@click.option("--loop", is_flag=True, help="Begin again at the end.")
@click.option("--paused", is_flag=True, help="Wait until told to play.")
@click.option("--depth", type=click.IntRange(1, 30), default=5, show_default=True, help="Levels a side.")
def replay(data: str, symbols: tuple[str, ...], **said: Any) -> None:
    """Emulate an exchange that replays DATA over the venue's own protocol.

    \b
      sigma replay synthetic --venue upbit --symbol KRW-BTC
      sigma replay quotes.csv --venue binance --symbol BTCUSDT --speed 10
      SIGMA_VENUE_URL=http://127.0.0.1:9000 sigma run strategy.yaml

    DATA is a CSV or Parquet file of ticks, quotes or trades, a folder of them, a place in the catalogue, or
    `synthetic`. Ctrl-C ends it. What can be changed while it runs: docs/emulator.md.
    """
    if not said["speed"] > 0:
        raise BadInputError(f"--speed {said['speed']:g}: a number above 0, as in 10")
    uvloop.run(_serve(Wanted(data, symbols or (emulated(said["venue"]).symbol,), **said)))


async def _serve(wanted: Wanted) -> None:
    from sigma_bot.emulator.player import Player
    from sigma_bot.emulator.recording import fitting, recorded
    from sigma_bot.emulator.registry import rules_for
    from sigma_bot.emulator.server import Emulator

    w = wanted
    source = recorded(w.data, w.symbols)
    rules = fitting(rules_for(w.venue, w.symbols), source)
    emulator = Emulator(w.venue, w.symbols, host=w.host, port=w.port, rules=rules)
    emulator.player = Player(emulator.exchange, source, w.speed, w.loop, w.depth, w.paused)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with emulator:
        _announce(emulator, w.data, w.speed)
        await stop.wait()
    click.echo("stopped")


def _announce(emulator: Emulator, data: str, speed: float) -> None:
    click.echo(f"{emulator.venue} at {emulator.url}: {', '.join(emulator.exchange.markets)}")
    click.echo(f"replaying {data} at {speed:g} x; Ctrl-C ends it")
    click.echo(f"key     {emulator.key}\nsecret  {emulator.secret}")
    held = emulator.exchange.accounts["main"].holdings
    click.echo("holds   " + ", ".join(f"{h.free:,f} {c}" for c, h in held.items()))
    click.echo("\nPoint a feed or a bot at it:")
    click.echo(f"  export SIGMA_VENUE_URL={emulator.url}")
    click.echo(f"  export SIGMA_API_KEY={emulator.key} SIGMA_API_SECRET={emulator.secret}")
