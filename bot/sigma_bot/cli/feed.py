"""``sigma feed``: market data of one venue as ticks, on the bus and on disk."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvloop

from sigma_bot.errors import BadInputError
from sigma_bot.times import SECOND
from sigma_bot.venues.registry import NAMES

if TYPE_CHECKING:
    from sigma_bot.feed.feed import Feed
    from sigma_bot.health.server import Pages

STATUS_S = 60.0


@click.command()
@click.option("--venue", required=True, metavar="NAME", help=f"One of {', '.join(NAMES)}.")
@click.option(
    "--symbols",
    default="",
    metavar="A,B",
    help="Symbols to feed always, as the venue writes them; others are fed while a bot wants them.",
)
@click.option("--redis", "url", metavar="URL", help="The bus; else SIGMA_REDIS_URL, else this process alone.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Record the ticks there.")
def feed(venue: str, symbols: str, url: str | None, out: Path | None) -> None:
    """Receive a venue's market data, and publish it as ticks of 100 ms.

    \b
    Examples:
      sigma feed --venue upbit --symbols KRW-BTC,KRW-ETH --out recorded
      sigma feed --venue binance --redis redis://localhost:6379/0

    Ctrl-C ends it: what was received is published and recorded. Started again, it goes on with the next
    number. The recording is one Parquet file a symbol and day, FOLDER/VENUE/SYMBOL/DATE.parquet, and
    backtests read it (data: {source: file, path: FOLDER/VENUE}).
    """
    wanted = [word for word in (word.strip() for word in symbols.split(",")) if word]
    uvloop.run(_run(venue, wanted, url, out))


async def _run(venue: str, symbols: list[str], url: str | None, out: Path | None) -> None:
    from sigma_bot import __version__
    from sigma_bot.bus import MEMORY, bus_url, open_bus
    from sigma_bot.feed.feed import Feed
    from sigma_bot.health.heartbeat import measure_lag
    from sigma_bot.health.logs import configure
    from sigma_bot.health.metrics import FeedMetrics
    from sigma_bot.health.server import Pages
    from sigma_bot.redaction import redact_url

    where = bus_url(url)
    if where == MEMORY and out is None:
        raise BadInputError(
            "feed: nobody would get the ticks; name a bus with --redis, a folder with --out, or both"
        )
    if where == MEMORY and not symbols:
        raise BadInputError("feed: without a bus no bot can say what it needs; name --symbols")
    configure()
    bus = open_bus(where)
    metrics = FeedMetrics({"venue": venue, "version": __version__})
    running = Feed(venue, bus, symbols, out, metrics=metrics)
    pages = Pages(running.pulse, running.readiness, running.facts, metrics.text)
    click.echo(
        f"feed of {venue}: {', '.join(symbols) or 'what bots want'}; "
        f"bus {redact_url(where)}; recording {out if out is not None else 'none'}; Ctrl-C ends it"
    )
    task = asyncio.create_task(running.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    beside = [asyncio.create_task(_report(running)), asyncio.create_task(measure_lag(metrics.lag))]
    try:
        with _served(pages):
            await task
    except asyncio.CancelledError:
        click.echo(f"stopped at batch {running.counters.last_seq}; everything is flushed")
    finally:
        task.cancel()
        for one in beside:
            one.cancel()
        await bus.close()


@contextmanager
def _served(pages: Pages) -> Iterator[None]:
    """Probes and metrics on SIGMA_HEALTH_PORT, where it is set."""
    from sigma_bot.health.server import HealthServer, health_address

    address = health_address()
    if address is None:
        yield
        return
    host, port = address
    server = HealthServer(pages, port, host)
    server.start()
    try:
        yield
    finally:
        server.close()


async def _report(running: Feed) -> None:
    while True:
        await asyncio.sleep(STATUS_S)
        click.echo(status_line(running))


def status_line(running: Feed) -> str:
    """What a feed has done so far, in a line."""
    counters, now = running.counters, time.time_ns()
    malformed = counters.malformed + sum(one.malformed for one in counters.symbols.values())
    stale = [
        symbol
        for symbol, one in sorted(counters.symbols.items())
        if now - one.received_ts > STATUS_S * SECOND
    ]
    offset = counters.clock_offset_ns
    parts = [
        f"batch {counters.last_seq}",
        "connected" if counters.connected else "not connected",
        f"{len(counters.symbols)} symbols",
        f"{counters.messages} messages",
        f"{counters.ticks} ticks",
        f"{counters.gaps} gaps",
        f"{counters.reconnects} reconnects",
        f"{malformed} malformed",
        f"{counters.waiting} waiting",
    ]
    if offset is not None:
        parts.append(f"clock {offset / 1e9:+.3f} s (within {(counters.clock_accuracy_ns or 0) / 1e9:.3f} s)")
    if stale:
        parts.append(f"silent for a minute: {', '.join(stale)}")
    if counters.last_error:
        parts.append(f"last error: {counters.last_error}")
    return "; ".join(parts)
