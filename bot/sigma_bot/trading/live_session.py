"""LIVE: the session of a bot with a real account. Nothing is decided before everything is reconciled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from sigma_bot.bus.interface import Bus
from sigma_bot.database.errors import StorageError
from sigma_bot.engine import external
from sigma_bot.engine.types import E_CANCEL, R_ABSENT
from sigma_bot.errors import BadInputError
from sigma_bot.health.heartbeat import Heartbeat
from sigma_bot.health.metrics import BotMetrics
from sigma_bot.journal.journal import Journal
from sigma_bot.model.orders import LIVING, FillRow, OrderRow, State
from sigma_bot.model.units import money_of, plain
from sigma_bot.runtime.setup import set_market
from sigma_bot.spec import Strategy as Manifest
from sigma_bot.spec import StrategySpec, market_rules
from sigma_bot.spec.rules import Band, FeeRules, MarketRules
from sigma_bot.times import SECOND
from sigma_bot.trading.adapters import Alert, LiveAdapter
from sigma_bot.trading.approval import RiskGate
from sigma_bot.trading.bot import ChangeObserver, RestartError
from sigma_bot.trading.executor import OrderExecutor, UntrackedOrder
from sigma_bot.trading.limits import AccountLimits
from sigma_bot.trading.order_manager import OrderManager
from sigma_bot.trading.session import OpenedBot, Session, Settings, open_bot
from sigma_bot.trading.tasks import cancel_tasks
from sigma_bot.trading.unplaced import UnplacedOrders
from sigma_bot.venues.errors import COUNTS, MALFORMED, UNKNOWN_MARKET, clocks
from sigma_bot.venues.keys import FOLDER_VARIABLE
from sigma_bot.venues.types import RefusedError, VenueClient, VenueError, VenueMarket

log = logging.getLogger(__name__)
RECONCILE_S = 15.0
CLOCK_S = 60.0
DRIFTED_S = 5.0
"""How often a clock is measured that is wrong: trading goes on when it is right again."""
KEYS_S = 5.0
MAX_DRIFT_NS = SECOND


def rules_of(market: VenueMarket) -> MarketRules:
    """The venue's own rules in the form of a manifest's."""
    bands = []
    for start, step in market.bands:
        fraction = Fraction(step)
        bands.append(Band(start, fraction.numerator, fraction.denominator))
    zero = market.min_notional * 0
    fees = FeeRules(plain(market.maker_fee), plain(market.taker_fee), zero, zero, zero)
    return MarketRules(
        market.symbol,
        tuple(bands),
        market.lot_size,
        max(market.min_quantity, market.lot_size),
        market.min_notional,
        fees,
    )


async def take_rules(
    venue: VenueClient, spec: StrategySpec, opened: OpenedBot
) -> tuple[dict[str, str], set[str]]:
    """Run with the venue's price steps, lots and minimums, whatever the manifest assumed. Returns the
    currency of each symbol's units, and the symbols that are no more. Raises BadInputError for a market that
    can't be traded. One that was suspended or removed since the run began is no reason to leave the others,
    and what is held, alone: it keeps the rules it had."""
    bases, gone = {}, set()
    fresh = opened.loaded is None or opened.loaded.state is None
    for k, wanted in enumerate(spec.markets):
        where = f"spec.markets[{k}].symbol: {wanted.symbol}"
        try:
            market = await venue.market(wanted.symbol)
        except RefusedError as refused:
            if fresh or refused.code != UNKNOWN_MARKET:
                raise
            log.warning("%s was removed and can't be traded: %s", where, refused)
            gone.add(wanted.symbol)
            bases[wanted.symbol] = base_of(wanted.symbol, spec.account.currency)
            continue
        if not market.active:
            if fresh:
                raise BadInputError(f"{where} is suspended or delisted at {spec.account.venue}")
            log.warning("%s is suspended or delisted at %s", where, spec.account.venue)
        if market.quote != spec.account.currency:
            raise BadInputError(
                f"{where} is quoted in {market.quote}, the account counts in {spec.account.currency}; "
                f"set spec.account.currency to {market.quote} or choose another symbol"
            )
        rules, assumed = rules_of(market), market_rules(wanted)
        theirs, ours = rules.describe(), assumed.describe()
        for name, rule in theirs.items():
            if rule != ours[name]:
                log.warning("%s: the venue's %s are used, not the manifest's", wanted.symbol, name)
                log.info("%s %s: venue %s, manifest %s", wanted.symbol, name, rule, ours[name])
        target = opened.decisions.broker.markets[k]
        if target.lots and Fraction(target.lot_num, target.lot_den) != Fraction(rules.lot_size):
            raise BadInputError(
                f"{where}: the venue changed its lot size to {rules.lot_size} while a position is open; "
                "close it by hand and reset the bot"
            )
        kept = {n: getattr(target, n) for n in ("lo", "hi", "used_row")}
        set_market(target, rules, spec)
        for name, value in kept.items():
            setattr(target, name, value)
        bases[wanted.symbol] = market.base
    return bases, gone


def base_of(symbol: str, quote: str) -> str:
    """The currency that a symbol's units are, from its name: of KRW-BTC and of BTCUSDT."""
    return symbol.removeprefix(f"{quote}-").removesuffix(quote)


def check_account(manifest: Manifest) -> None:
    """LIVE trades spot accounts without borrowing. Raises BadInputError."""
    account = manifest.spec.account
    if account.type != "cash":
        raise BadInputError('spec.account.type: must be "cash" in LIVE: borrowing is not supported')


@contextlib.asynccontextmanager
async def live_session(
    journal: Journal,
    bus: Bus,
    settings: Settings,
    watch: ChangeObserver,
    heartbeat: Heartbeat,
    metrics: BotMetrics,
    venue: VenueClient,
    unsent: UnplacedOrders,
) -> AsyncIterator[Session]:
    """A LIVE bot, recovered: lease, state, venue, reconciliation. ``venue`` is not yet opened; ``unsent`` is
    what the sessions before this one knew."""
    check_account(settings.manifest)
    spec = settings.manifest.spec
    opened = await open_bot(journal, settings)
    desk: LiveAdapter | None = None
    recovered = False
    try:
        await venue.open()
        bases, gone = await take_rules(venue, spec, opened)
        desk = make_desk(opened, venue, spec, bases, metrics, unsent)
        desk.executor.delisted |= gone
        session = Session(journal, bus, opened, spec.account.venue, desk, watch, heartbeat, metrics)
        desk.executor.post, desk.executor.look = session.bot.post, session.bot.refresh_halt
        works = LiveTasks(session, desk, venue, metrics)
        desk.adopt = works.adopt
        session.quiet = desk.executor.close
        await works.recover()
        session.beside = (works.reconcile, works.watch_clock)
        if FOLDER_VARIABLE in os.environ:
            session.beside += (works.watch_keys,)
        recovered = True
        yield session
    finally:
        if not recovered:
            with contextlib.suppress(StorageError):  # it runs out by itself then
                await journal.release(opened.lease)
        if desk is not None:
            await desk.executor.close()
        await venue.close()


def make_desk(
    opened: OpenedBot,
    venue: VenueClient,
    spec: StrategySpec,
    bases: dict[str, str],
    metrics: BotMetrics,
    unsent: UnplacedOrders,
) -> LiveAdapter:
    """Everything that stands between the engine and the venue."""
    lease = opened.lease
    book = OrderManager(opened.decisions, opened.run, opened.inputs, opened.desk, lease.token, bases)
    if opened.loaded is not None:
        track_stored(book, opened.loaded.orders, opened.loaded.fills)
    stale = 0 if spec.risk.stale_after is None else spec.risk.stale_after.ns
    gate = RiskGate(stale, MAX_DRIFT_NS, time.time_ns)
    gate.closed_reason = "not reconciled yet"
    executor = OrderExecutor(venue, book, lambda: lease.deadline_ns, nobody, metrics.venue_error, unsent)
    desk = LiveAdapter(
        opened.decisions,
        book,
        executor,
        gate,
        lease,
        AccountLimits(**dict(spec.account.limits)),
        nobody,
        metrics,
    )
    executor.still = desk.still
    return desk


def nobody(_: object) -> None:
    """Listens until the bot does."""


def track_stored(book: OrderManager, orders: Iterable[OrderRow], fills: Iterable[FillRow]) -> None:
    """Stored orders with the trades that are booked."""
    trades: dict[str, list[str]] = {}
    for fill in fills:
        trades.setdefault(fill.client_id, []).append(fill.trade_id)
    for row in orders:
        book.track(row, trades.get(row.client_id, ()))


class KeysChangedError(RestartError):
    """The files of the keys are others now."""


def key_file_times(folder: str) -> list[int]:
    """When each of the key files was written."""
    return [path.stat().st_mtime_ns for name in ("apiKey", "secret") if (path := Path(folder, name)).exists()]


class LiveTasks:
    """What a live bot does besides deciding."""

    def __init__(self, session: Session, desk: LiveAdapter, venue: VenueClient, metrics: BotMetrics) -> None:
        self.session, self.desk, self.venue, self.metrics = session, desk, venue, metrics
        self.symbols = list(session.opened.decisions.symbols)
        self.differences: dict[str, Decimal] = {}
        self.shortfalls: dict[str, Decimal] = {}
        self.malformed = 0

    async def recover(self) -> None:
        """Ask the venue for everything that may have happened, and book it; then orders may go."""
        bot, desk = self.session.bot, self.desk
        await self._measure()
        await self._track_not_found()
        # waiting for the venue's word is not standing still
        holding = asyncio.create_task(self.session.keep_lease(bot.heartbeat.beat))
        try:
            await desk.executor.reconcile(self.symbols)
        finally:
            await cancel_tasks([holding])
        self.end_untracked()
        while bot.mailbox or desk.executor.tasks:
            await bot.drain()
            await asyncio.sleep(0.005)
        await self.compare_balances()
        desk.gate.closed_reason = ""
        desk.executor.listen()
        log.info(
            "reconciled: %d orders open, %d foreign", len(desk.orders.open_orders()), desk.foreign_orders
        )

    async def _track_not_found(self) -> None:
        """Take the last orders that never arrived into memory again: they may have arrived since."""
        book = self.desk.orders
        entries = await self.session.journal.orders(self.session.opened.run.bot, limit=100)
        absent = [e.row for e in entries if e.row.state is State.ABSENT and e.row.client_id not in book.rows]
        track_stored(book, absent, ())

    def end_untracked(self) -> None:
        """An order that the engine believes at the venue, of which the journal holds none that lives, has
        ended: refused in the very step that was to send it. A cancel that was under way is asked again."""
        decisions, book = self.session.opened.decisions, self.desk.orders
        b = decisions.broker
        for o in [b.orders[slot] for slot in b.active[: b.n_active]]:
            row = book.rows.get(book.run.client_id(o.id, o.leg))
            if o.sent != external.HELD_HERE and (row is None or row.state not in LIVING):
                external.ended(b, o.id, E_CANCEL, R_ABSENT)
            elif o.sent > external.SENT:
                o.sent = external.SENT

    async def reconcile(self) -> None:
        """Compare with the venue, for ever."""
        while True:
            await asyncio.sleep(RECONCILE_S)
            self.desk.executor.reconcile_soon(self.symbols)
            try:
                await self.compare_balances()
            except VenueError as error:
                log.warning("the balances can't be read: %s", error)

    async def compare_balances(self) -> None:
        """The venue's balances against the journal's fills. A position that is not there any more is an
        alert; other differences are other hands on the account, and logged when they change."""
        held = {c: b.free + b.locked for c, b in (await self.venue.balances()).items()}
        book = self.desk.orders
        if book.opening_balances is None:
            self._check_cash(held)
        differences = book.balance_differences(held)
        if differences != self.differences:
            self.differences = differences
            said = ", ".join(f"{value:+f} {currency}" for currency, value in differences.items()) or "none"
            log.info("differences between account and journal: %s", said)
        self.metrics.reconciled(len(differences))
        malformed = sum(n for (_, code), n in COUNTS.items() if code == MALFORMED)
        for _ in range(malformed - self.malformed):
            self.metrics.malformed("venue")
        self.malformed = malformed
        short, before = book.position_shortfalls(held), self.shortfalls
        self.shortfalls = short
        for symbol in short.keys() & before.keys():  # twice in a row: not a fill that is still on its way
            text = f"{symbol}: the account lacks {short[symbol]:f} of the position"
            self.session.bot.post(Alert("position-missing", text, symbol))
        for symbol in sorted(self.desk.executor.delisted):
            text = f"{symbol}: the venue has removed this market; what is held of it can't be sold there"
            self.session.bot.post(Alert("market-removed", text, symbol))

    def _check_cash(self, held: Mapping[str, Decimal]) -> None:
        """A fresh run must find the money it is to trade with. Raises BadInputError."""
        b, run = self.session.opened.decisions.broker, self.session.opened.run
        cash, there = money_of(b.cash_quanta, run.precision), held.get(run.currency, Decimal(0))
        if cash > there:
            raise BadInputError(
                f"spec.account.cash: {cash:f} {run.currency} is more than the account holds ({there:f}); "
                "lower it to what this strategy may use"
            )

    async def watch_clock(self) -> None:
        """Measure the venue's clock, for ever; at once when the venue finds a request out of its time."""
        mistimed = self.desk.executor.clock_rejected
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRIFTED_S if self.desk.gate.drifted else CLOCK_S):
                    await mistimed.wait()
            mistimed.clear()
            try:
                await self._measure()
            except VenueError as error:
                log.warning("the venue's clock can't be read: %s", error)

    async def _measure(self) -> None:
        """While the clocks are more than a second apart nothing is sent. One slow answer looks like that too,
        so three must say so."""
        gate, before = self.desk.gate, self.desk.gate.drifted
        gate.drift = await self.venue.clock_offset_ns()
        for _ in range(2):
            if gate.drifted:
                gate.drift = min(gate.drift, await self.venue.clock_offset_ns(), key=abs)
        self.metrics.clock_offset(gate.drift / 1e9)
        if gate.drifted and not before:
            text = f"{clocks(gate.drift)}; nothing is sent until it is right: let chrony or NTP set it"
            self.session.bot.post(Alert("clock-drift", text, ""))
        elif before and not gate.drifted:
            log.info("the clock is right again; orders may go")

    async def watch_keys(self) -> None:
        """Begin a new session when the files of the keys have changed: a rotated Secret."""
        folder = os.environ[FOLDER_VARIABLE]
        before = key_file_times(folder)
        while True:
            await asyncio.sleep(KEYS_S)
            if key_file_times(folder) != before:
                raise KeysChangedError("the API keys have changed; connecting again with the new ones")

    def adopt(self, adopt: UntrackedOrder) -> None:
        """An order of ours that is not in memory: read it from the journal, then believe the venue."""
        self.desk.executor.spawn(self._adopt(adopt))

    async def _adopt(self, adopt: UntrackedOrder) -> None:
        client_id = adopt.order.client_id
        bot = self.session.opened.run.bot
        journal = self.session.journal
        found = await journal.order(bot, client_id)
        if found is None:
            log.error("the venue holds %s, which the journal does not know; left alone", client_id)
            return
        if client_id not in self.desk.orders.rows:
            track_stored(self.desk.orders, [found[0]], found[1])
        self.desk.executor.ask_fills(adopt.order, client_id)
