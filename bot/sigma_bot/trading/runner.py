"""Runs a bot for good: session after session, with what watches it from outside."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from sigma_bot import __version__
from sigma_bot.bus.interface import Bus
from sigma_bot.database.errors import StorageError
from sigma_bot.engine.types import Reason
from sigma_bot.errors import SigmaError
from sigma_bot.health.heartbeat import Heartbeat
from sigma_bot.health.logs import about
from sigma_bot.health.metrics import BotMetrics
from sigma_bot.health.server import NOT_CONNECTED, Readiness
from sigma_bot.journal.errors import LeaseLostError
from sigma_bot.journal.journal import Journal
from sigma_bot.model.orders import Change, NoticeRow, State
from sigma_bot.model.units import quantity_of
from sigma_bot.spec import Strategy as Manifest
from sigma_bot.times import clock
from sigma_bot.trading.bot import RestartError, StrategyStoppedError, TradingBot
from sigma_bot.trading.broadcast import Broadcaster
from sigma_bot.trading.session import Session, SessionContext, sim_session
from sigma_bot.trading.settings import Settings, bot_name
from sigma_bot.trading.tasks import cancel_tasks
from sigma_bot.trading.unplaced import UnplacedOrders
from sigma_bot.venues.types import RefusedError, VenueClient, VenueError

log = logging.getLogger(__name__)
SILENT_S = 60.0
"""A market without a tick for so long is not one to trade on."""
STEADY_S = 2.0
FRESH_NS = 5_000_000_000
"""Without a batch for so long the feed counts as gone."""


# what a new session may heal: (error, what /readyz says meanwhile, seconds to wait)
RECOVERABLE: tuple[tuple[type[SigmaError], str, float], ...] = (
    (StrategyStoppedError, "StrategyRaised", 0.0),
    (RestartError, "Restarting", 0.0),
    (StorageError, "DatabaseUnreachable", 0.5),
    (LeaseLostError, "LeaseLost", 0.5),
    (RefusedError, "VenueRefuses", 10.0),
    (VenueError, "VenueUnreachable", 2.0),
)


class BotRunner:
    """``run`` returns only by being cancelled, or raises what no new session could mend. ``connect`` gives a
    client of the venue for each session of LIVE."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        bus: Bus,
        heartbeat: Heartbeat,
        metrics: BotMetrics,
        connect: Callable[[], VenueClient] | None = None,
    ) -> None:
        self.connect = connect
        self.settings, self.journal, self.bus = settings, journal, bus
        self.heartbeat, self.metrics = heartbeat, metrics
        self.name = bot_name(settings.manifest)
        self.broadcaster = Broadcaster(bus, self.name)
        self.session: Session | None = None
        self.unplaced = UnplacedOrders()
        self.not_ready = ("Starting", "the bot is starting")
        self.sessions = 0
        self.ran = False  # a session has got as far as trading
        self.readiness_since, self.logged_reason = ("", 0.0), ""
        self.feed_readiness: Callable[[], Readiness] | None = None  # of the feed in this process
        self.without_ticks = False  # it was stored that no tick comes

    async def run(self) -> None:
        """Sessions, for ever."""
        with about(strategy=self.name):
            publishing = asyncio.create_task(self.broadcaster.run())
            try:
                while True:
                    wait = await self._one()
                    self.session = None
                    # it is full of cycles: without this the next is made with the last ones still in memory
                    gc.collect()
                    await asyncio.sleep(wait)
            finally:
                await cancel_tasks([publishing])

    async def _one(self) -> float:
        """One session; seconds to wait before the next."""
        self.sessions += 1
        try:
            await self._session()
        except SigmaError as error:
            for kind, reason, wait in RECOVERABLE:
                # what the venue refuses at the first start is a mistake; later it may pass, and a bot that
                # runs does not end: its stops are watched here
                if isinstance(error, kind) and (self.ran or not isinstance(error, RefusedError)):
                    self.not_ready = (reason, str(error).splitlines()[0])
                    log.error("%s", str(error))  # its traceback would keep the session with the record
                    self.heartbeat.beat()
                    return max(wait, getattr(error, "after", 0.0))
            raise
        raise AssertionError("a session ends by an error or by being cancelled")

    async def _session(self) -> None:
        self.heartbeat.beat()
        self.settings = self.settings.read()
        self.not_ready = ("Reconciling", "asking the venue and the journal what happened")
        async with self.open_session() as session:
            self.session, self.ran = session, True
            self.settings = replace(self.settings, reset=False)  # once, not at every session
            try:
                await session.run(self._update_metrics)
            except asyncio.CancelledError:
                await session.end()
                session.adapter.log_asleep()
                raise

    def open_session(self) -> contextlib.AbstractAsyncContextManager[Session]:
        """The mode's session."""
        context = SessionContext(
            self.journal, self.bus, self.settings, self.observe, self.heartbeat, self.metrics
        )
        if self.connect is None:
            return sim_session(context)
        from sigma_bot.trading.live_session import live_session

        return live_session(context, self.connect(), self.unplaced)

    async def _update_metrics(self) -> None:
        """Write down the figures that change by themselves."""
        while True:
            ready = self.ready()
            self.metrics.ready(ready.ready)
            self._log_readiness(ready)
            session = self.session
            if session is not None:
                lease = session.opened.lease
                self.metrics.lease(lease.alive(), lease.token)
            await asyncio.sleep(0.5)

    def _log_readiness(self, ready: Readiness) -> None:
        """Log a change of readiness that lasts, once."""
        now = time.monotonic()
        # why a feed is not connected is news too; other messages hold numbers that change all the time
        what = ready.message if ready.reason in (NOT_CONNECTED, "WaitingForTicks") else ready.reason
        if what != self.readiness_since[0]:
            self.readiness_since = (what, now)
        elif now - self.readiness_since[1] > STEADY_S and self.logged_reason != what:
            self.logged_reason = what
            log.log(logging.INFO if ready.ready else logging.WARNING, "%s", ready.message)
            self._store_feed_state(ready)

    def _store_feed_state(self, ready: Readiness) -> None:
        """That no tick comes, and why, is for `sigma status` too; and that they come again."""
        silent = ready.reason in (NOT_CONNECTED, "WaitingForTicks", "FeedStale")
        if self.session is None or (silent and self.session.history.reading):
            return  # what is recorded is on its way
        if not (silent or (self.without_ticks and ready.ready)):
            return
        self.without_ticks = silent
        kind, code = ("alert", "no-ticks") if silent else ("state", "ticks")
        self.session.bot.mailbox.put(NoticeRow(kind, code, ready.message, time.time_ns()))

    def observe(self, bot: TradingBot, change: Change, commit: int) -> None:
        """A change is stored: publish it, log it, count it."""
        self.broadcaster.publish(change, commit)
        for order in change.orders:
            self.metrics.order(order.state)
            if order.state is not State.INTENT:
                with about(order=order.order_id):
                    log.info(
                        "order %s: %s %s %s, %s",
                        order.client_id, order.side, f"{order.quantity:f}", order.symbol, order.state,
                    )  # fmt: skip
        for fill in change.fills:
            self.metrics.fill()
            what = f"{fill.side} {fill.quantity:f} at {fill.price:f}"
            with about(order=fill.order_id):
                log.info("fill %s: %s", fill.client_id, what)
        for notice in change.notices:
            if notice.kind == "rejection":
                self.metrics.rejection(notice.code)
            elif notice.kind == "alert":
                self.metrics.alert(notice.code)
        b = bot.decisions.broker
        self.metrics.equity(Decimal(repr(b.equity)), bot.run.currency)
        for k, symbol in enumerate(bot.run.symbols):
            self.metrics.position(symbol, quantity_of(b.markets[k], b.markets[k].lots))
        self.metrics.open_orders(b.n_active)

    def ready(self) -> Readiness:
        """For /readyz: trading, with a fresh feed, and not halted."""
        facts = self.facts()
        session = self.session
        if session is None:
            return Readiness(False, *self.not_ready, facts)
        progress = session.bot.progress
        if progress.halted:
            return Readiness(False, "Halted", f"halted: {progress.halted}", facts)
        feed = None if self.feed_readiness is None else self.feed_readiness()
        if feed is not None and feed.reason == NOT_CONNECTED:
            symbols = ", ".join(session.bot.run.symbols)
            return Readiness(False, NOT_CONNECTED, f"no ticks of {symbols}: {feed.message}", facts)
        return readiness_of_feed(session, facts)

    def facts(self) -> Mapping[str, object]:
        """For /status: everything a trader asks first."""
        spec = self.settings.manifest.spec
        out: dict[str, object] = {
            "bot": self.name,
            "mode": spec.mode,
            "venue": spec.account.venue,
            "account": spec.account.name,
            "halted": False,
            "sessions": self.sessions,
        }
        session = self.session
        if session is not None:
            progress, b = session.bot.progress, session.bot.decisions.broker
            out |= {
                "halted": bool(progress.halted),
                "halt_reason": progress.halted,
                "run": session.bot.run.number,
                "tick": progress.tick,
                "last_tick": clock(progress.tick_ts) if progress.tick_ts else "",
                "ticks": progress.batches,
                "commit": progress.commits,
                "holes": session.reader.lost_batches,
                "cash": b.cash,
                "equity": b.equity,
                "open_orders": b.n_active,
                "flat": session.bot.decisions.flat,
                "orders": b.n_orders,
                "fills": b.n_fills,
                "rejected": {Reason(i).text: n for i, n in enumerate(b.rejected) if n},
                "positions": {s: b.markets[k].qty for k, s in enumerate(session.bot.run.symbols)},
                **session.adapter.facts(),
            }
        return out


def readiness_of_feed(session: Session, facts: Mapping[str, object]) -> Readiness:
    """Whether ticks come, and may be traded on."""
    progress = session.bot.progress
    symbols = ", ".join(session.bot.run.symbols)
    if progress.row_at == 0.0:
        where = session.trouble or ("is the venue reachable?" if progress.batches else "is the feed running?")
        return Readiness(False, "WaitingForTicks", f"no tick of {symbols} has come yet; {where}", facts)
    age = time.time_ns() - progress.tick_ts
    if age > FRESH_NS and time.monotonic() - session.bot.batch_at > FRESH_NS / 1e9:
        return Readiness(False, "FeedStale", f"the last ticks came {age / 1e9:.0f} s ago", facts)
    if (silent := time.monotonic() - progress.row_at) > SILENT_S:
        text = f"no tick of {symbols} for {silent:.0f} s; {session.trouble or 'is the venue reachable?'}"
        return Readiness(False, "FeedStale", text, facts)
    # what comes is not always traded on at once; a bot that has much to read is ready all the same
    if age > SILENT_S * 1e9:
        text = f"handling the ticks of {clock(progress.tick_ts)} UTC, {age / 60e9:.0f} minutes ago"
        return Readiness(True, "CatchingUp", text, facts)
    if session.warmup_ends > time.time_ns():
        return Readiness(True, "WarmingUp", f"no order before {clock(session.warmup_ends)} UTC", facts)
    return Readiness(True, "Trading", "reconciled, ticks are coming", facts)


def metrics_of(manifest: Manifest) -> BotMetrics:
    """The metrics of the bot that runs a manifest."""
    spec = manifest.spec
    about = {"strategy": bot_name(manifest), "mode": spec.mode, "venue": spec.account.venue}
    return BotMetrics({**about, "code": "", "version": __version__})


def banner(manifest: Manifest) -> str:
    """The first line of every start: mode, venue, account, limits."""
    spec = manifest.spec
    risk = spec.risk
    limits = {
        "position": risk.max_position,
        "order value": risk.max_notional,
        "daily loss": risk.max_daily_loss,
        "drawdown": risk.max_drawdown,
        "open orders": risk.max_open_orders,
        "orders a minute": risk.max_orders_per_minute,
    }
    text = ", ".join(f"{name} {value}" for name, value in limits.items() if value is not None)
    symbols = ", ".join(market.symbol for market in spec.markets)
    return (
        f"{spec.mode.upper()} {bot_name(manifest)}: {spec.account.venue} account {spec.account.name}, "
        f"{symbols}; limits: {text}"
    )
