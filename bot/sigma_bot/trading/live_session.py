"""LIVE, wired: the parts of a bot with a real account, and its recovery. Nothing is decided before everything
is reconciled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sigma_bot.database.errors import StorageError
from sigma_bot.engine import external
from sigma_bot.engine.types import E_CANCEL, R_ABSENT
from sigma_bot.errors import BadInputError
from sigma_bot.journal.filters import Filter
from sigma_bot.model.orders import LIVING, Change, NoticeRow
from sigma_bot.spec import Strategy as Manifest
from sigma_bot.times import SECOND
from sigma_bot.trading.approval import RiskGate
from sigma_bot.trading.controls import ControlsReader
from sigma_bot.trading.executor import OrderExecutor
from sigma_bot.trading.limits import AccountLimits
from sigma_bot.trading.live_adapter import LiveAdapter
from sigma_bot.trading.live_tasks import LiveTasks
from sigma_bot.trading.mailbox import Mailbox
from sigma_bot.trading.opening import OpenedBot, open_bot
from sigma_bot.trading.order_manager import OrderManager
from sigma_bot.trading.session import Session, SessionContext
from sigma_bot.trading.tasks import cancel_tasks
from sigma_bot.trading.unplaced import UnplacedOrders
from sigma_bot.trading.untracked import UntrackedOrders
from sigma_bot.trading.venue_rules import VenueRules, apply_venue_rules
from sigma_bot.venues.types import VenueClient, VenueError

log = logging.getLogger(__name__)
MAX_DRIFT_NS = SECOND
UNREACHABLE = "venue-unreachable"


def check_account(manifest: Manifest) -> None:
    """LIVE trades spot accounts without borrowing. Raises BadInputError."""
    account = manifest.spec.account
    if account.type != "cash":
        raise BadInputError('spec.account.type: must be "cash" in LIVE: borrowing is not supported')


@contextlib.asynccontextmanager
async def live_session(
    context: SessionContext, venue: VenueClient, unplaced: UnplacedOrders
) -> AsyncIterator[Session]:
    """A LIVE bot, recovered: lease, state, venue, reconciliation. ``venue`` is not yet opened; ``unplaced``
    is what the sessions before this one knew."""
    check_account(context.settings.manifest)
    opened = await open_bot(context.journal, context.settings)
    live: LiveBot | None = None
    recovered = False
    try:
        await venue.open()
        rules = await apply_venue_rules(venue, context.settings.manifest.spec, opened)
        live = build_live_bot(context, opened, venue, rules, unplaced)
        await live.recover()
        recovered = True
        yield live.session
    except VenueError as error:
        if not recovered:
            await store_unreachable(context, opened, error)
        raise
    finally:
        if not recovered:
            with contextlib.suppress(StorageError):  # it runs out by itself then
                await context.journal.release(opened.lease)
        if live is not None:
            await live.adapter.close()
        await venue.close()


async def store_unreachable(context: SessionContext, opened: OpenedBot, error: VenueError) -> None:
    """Why the bot can't begin is for `sigma status` too; once, not at every try."""
    text, bot = str(error).splitlines()[0], opened.run.bot
    newest = next(iter(await context.journal.notices(Filter(bot, limit=1))), None)
    if newest is not None and (newest.row.code, newest.row.text) == (UNREACHABLE, text):
        return
    tick = 0 if opened.loaded is None else opened.loaded.tick
    change = Change(tick, opened.decisions.broker.ts)
    change.notices.append(NoticeRow("alert", UNREACHABLE, text, time.time_ns()))
    with contextlib.suppress(StorageError):  # the log has it
        await context.journal.commit(opened.lease, change)


@dataclass(frozen=True)
class LiveBot:
    """A LIVE bot's parts that recovery needs; ``build_live_bot`` makes them."""

    session: Session
    adapter: LiveAdapter
    tasks: LiveTasks

    async def recover(self) -> None:
        """Ask the venue for everything that may have happened, and book it; then orders may go."""
        bot, adapter = self.session.bot, self.adapter
        await self.tasks.measure_clock()
        await adapter.untracked.track_not_found()
        # waiting for the venue's answers is not standing still
        keeping = asyncio.create_task(self.session.keep_lease(bot.heartbeat.beat))
        try:
            await adapter.executor.reconcile(self.tasks.symbols)
        finally:
            await cancel_tasks([keeping])
        end_untracked(adapter.orders)
        while bot.mailbox or adapter.executor.tasks:
            await bot.drain()
            await asyncio.sleep(0.005)
        await self.tasks.compare_balances()
        adapter.price_fees()
        adapter.gate.open()
        adapter.executor.listen()
        open_orders = len(adapter.orders.open_orders())
        log.info("reconciled: %d orders open, %d foreign", open_orders, adapter.foreign_orders)


def build_live_bot(
    context: SessionContext,
    opened: OpenedBot,
    venue: VenueClient,
    rules: VenueRules,
    unplaced: UnplacedOrders,
) -> LiveBot:
    """Everything between the engine and the venue. Each part is given what it needs when it is made; what
    happens later reaches the bot by its mailbox, which is made first."""
    spec, metrics = context.settings.manifest.spec, context.metrics
    decisions, lease = opened.decisions, opened.lease
    mailbox = Mailbox()
    controls = ControlsReader(context.journal, opened.run.bot)
    orders = OrderManager(
        decisions, opened.run, opened.inputs, opened.adapter_state, lease.token, rules.bases, rules.markets
    )
    if opened.loaded is not None:
        orders.track_stored(opened.loaded.orders, opened.loaded.fills)
    stale_after = 0 if spec.risk.stale_after is None else spec.risk.stale_after.ns
    gate = RiskGate(stale_after, MAX_DRIFT_NS, time.time_ns, closed_reason="not reconciled yet")
    executor = OrderExecutor(
        venue, orders, mailbox, gate, controls, lease, unplaced, rules.delisted, metrics.venue_error
    )
    untracked = UntrackedOrders(context.journal, orders, executor)
    limits = AccountLimits(**dict(spec.account.limits))
    adapter = LiveAdapter(decisions, orders, executor, untracked, mailbox, gate, lease, limits, metrics)
    tasks = LiveTasks(venue, orders, executor, gate, mailbox, metrics)
    session = Session(context, opened, adapter, mailbox, controls, tasks.all())
    return LiveBot(session, adapter, tasks)


def end_untracked(orders: OrderManager) -> None:
    """An order that the engine believes at the venue, of which the journal holds none that is open, has
    ended: denied in the very step that was to send it. A cancel that was under way is asked for again."""
    b = orders.decisions.broker
    for o in [b.orders[slot] for slot in b.active[: b.n_active]]:
        row = orders.rows.get(orders.run.client_id(o.id, o.attempt))
        if o.venue_state != external.HELD_HERE and (row is None or row.state not in LIVING):
            external.order_ended(b, o.id, E_CANCEL, R_ABSENT)
        elif o.venue_state > external.SENT:
            o.venue_state = external.SENT
