"""OrderExecutor: sends what was approved, and finds out what became of it.

It decides nothing: every answer of the venue, and every silence, is posted to the bot, which books it. An
answer that was lost makes an order unknown; it is looked up by its client id until the venue tells, and never
sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sigma_bot.engine.types import R_ABSENT, R_HALTED, R_VENUE
from sigma_bot.health.metrics import ErrorKind
from sigma_bot.model import ids
from sigma_bot.model.orders import LIVING, OrderRow, State
from sigma_bot.times import MINUTE
from sigma_bot.trading.approval import RECHECK_AFTER_S, Approved
from sigma_bot.trading.crash import point
from sigma_bot.trading.order_manager import OrderManager
from sigma_bot.trading.tasks import cancel_tasks
from sigma_bot.trading.unplaced import UnplacedOrders, UnplacedReason
from sigma_bot.venues.errors import CLOCK, UNKNOWN_MARKET
from sigma_bot.venues.types import (
    RefusedError,
    StreamBreak,
    TransientError,
    UnknownError,
    VenueClient,
    VenueError,
    VenueFill,
    VenueOrder,
)

log = logging.getLogger(__name__)
ERROR_KINDS: dict[type[VenueError], ErrorKind] = {
    RefusedError: "refused",
    TransientError: "transient",
    UnknownError: "unknown",
}
REVIEW_AFTER_S = 60.0
LATE_ORDER_NS = 10 * MINUTE
"""So long an order that never arrived is asked for again at each reconciliation."""
STREAM_GRACE_S = 0.25
"""So long the private stream may tell of a cancel by itself, before the venue is asked."""
SEND_WINDOW_S = 2.0
"""An order that could not be sent for so long is given up: its price is another by now."""


@dataclass(frozen=True, slots=True)
class OrderReport:
    """The venue said this of an order."""

    client_id: str
    order: VenueOrder | None
    fills: tuple[VenueFill, ...]


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of an order without a word of the venue about it, or with its no."""

    client_id: str
    state: State
    reason: str
    code: int = R_VENUE  # the engine's reason, when it ended


@dataclass(frozen=True, slots=True)
class CancelFailed:
    """The order is still there."""

    client_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class UntrackedOrder:
    """The venue holds an order with one of our ids that is not in memory."""

    order: VenueOrder


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Everything living was asked for; ``foreign`` open orders are not ours."""

    foreign: int


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A fault of ours: the bot stops."""

    error: BaseException


async def nothing() -> None:
    """There are no controls to be read."""


VenueEvent = OrderReport | SendResult | CancelFailed | UntrackedOrder | Reconciled | TaskFailed


class OrderExecutor:
    """One account at one venue."""

    def __init__(
        self,
        venue: VenueClient,
        book: OrderManager,
        deadline: Callable[[], int],
        post: Callable[[VenueEvent], None],
        failed: Callable[[ErrorKind], None],
        unsent: UnplacedOrders,
    ) -> None:
        self.unplaced = unsent
        self.venue, self.orders, self.deadline, self.post, self.failed = venue, book, deadline, post, failed
        self.still: Callable[[OrderRow], bool] = lambda _: True
        self.look: Callable[[], Awaitable[None]] = nothing
        self.started = time.monotonic()
        self.tasks: set[asyncio.Task[None]] = set()
        self.sending: dict[str, asyncio.Event] = {}  # set when the order's sending has come to an end
        self.delisted: set[str] = set()  # symbols that the venue has removed
        self.unacknowledged: dict[str, float] = {}  # when a send ended without an answer, time.monotonic
        self.reconciling = asyncio.Lock()
        self.clock_rejected = asyncio.Event()  # the venue found a request out of its time

    def send(self, approved: Approved) -> None:
        """Send one order; the answer is posted."""
        self.sending[approved.row.client_id] = asyncio.Event()
        self.spawn(self._send(approved))

    def cancel(self, row: OrderRow) -> None:
        """Ask the venue to cancel; the answer is posted."""
        self.spawn(self._cancel(row))

    def listen(self) -> None:
        """Listen to the private stream from now on."""
        self.spawn(self._listen())

    async def close(self) -> None:
        """Stop everything that is under way. What was sent stays sent: the next start finds out."""
        await cancel_tasks(self.tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside everything else; what it raises ends the bot."""
        task = asyncio.create_task(self._guarded(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it is, the bot is told and stops
            self.post(TaskFailed(error))

    def _count_error(self, error: VenueError) -> None:
        self.failed(ERROR_KINDS.get(type(error), "bug"))
        if error.code == CLOCK:
            self.clock_rejected.set()

    async def _send(self, approved: Approved) -> None:
        row = approved.row
        fact = await self._send_until_answered(approved)
        self.post(fact)
        self.sending.pop(row.client_id).set()
        if isinstance(fact, SendResult) and fact.state is State.UNKNOWN:
            self.unacknowledged[row.client_id] = time.monotonic()
            log.warning("order %s: no answer (%s); looking it up", row.client_id, fact.reason)
            await self._resolve(row)

    async def _send_until_answered(self, approved: Approved) -> OrderReport | SendResult:
        """Send until the venue has taken or refused it, or nobody knows."""
        client_id, tries = approved.row.client_id, 0
        began = time.monotonic()
        while True:
            if tries or began - approved.at > RECHECK_AFTER_S:
                await self.look()
            if not self.still(approved.row):
                return SendResult(client_id, State.REFUSED, "not sent: halted meanwhile", R_HALTED)
            try:
                point("send.before")
                order, fills = await self.venue.create(
                    approved.order, self.deadline(), partial(self.unplaced.mark_written, approved.row)
                )
                point("send.answered")
                return OrderReport(client_id, order, tuple(fills))
            except RefusedError as error:
                self._count_error(error)
                self.unplaced.add(approved.row, UnplacedReason(str(error), R_VENUE))
                return SendResult(client_id, State.REFUSED, str(error))
            except TransientError as error:
                self._count_error(error)
                self.unplaced.add(approved.row, UnplacedReason(f"not sent: {error}", R_ABSENT))
                wait = max(error.after, 0.05 * 2**tries)
                if error.code == "late" or time.monotonic() - began + wait > SEND_WINDOW_S:
                    return SendResult(client_id, State.REFUSED, f"not sent: {error}", R_ABSENT)
                tries += 1
                await asyncio.sleep(wait)
            except UnknownError as error:
                self._count_error(error)
                point("send.unknown")
                return SendResult(client_id, State.UNKNOWN, str(error))

    async def _cancel(self, row: OrderRow) -> None:
        if (sending := self.sending.get(row.client_id)) is not None:
            await sending.wait()  # a cancel that overtakes its order finds nothing, and the order stays
        if self.unplaced.reason_for(row) is not None:
            return
        for attempt in range(4):
            try:
                point("cancel.before")
                await self.venue.cancel(row.symbol, row.client_id, row.venue_id)
                point("cancel.answered")
                break
            except RefusedError as error:
                self._count_error(error)
                if error.code != "gone":
                    self.post(CancelFailed(row.client_id, str(error)))
                    return
                break
            except TransientError as error:
                self._count_error(error)
                await asyncio.sleep(max(error.after, 0.1 * 2**attempt))
            except UnknownError as error:  # a cancel may be sent again: what is gone can't go twice
                self._count_error(error)
                await asyncio.sleep(0.1 * 2**attempt)
        else:
            self.post(CancelFailed(row.client_id, "the venue takes no cancel now"))
            return
        await asyncio.sleep(STREAM_GRACE_S)
        await self._resolve(row)

    async def _resolve(self, row: OrderRow) -> None:
        """Look one order up until the venue says what became of it; a resting order is an answer too."""
        began, wait = time.monotonic(), 0.1
        reason = "the venue does not know it yet"
        while row.state in LIVING:
            try:
                if await self._query(row):
                    return
            except VenueError as error:
                self._count_error(error)
                reason = str(error)
            if row.state in (State.INTENT, State.UNKNOWN) and time.monotonic() - began > REVIEW_AFTER_S:
                self.post(SendResult(row.client_id, State.PARKED, f"not settled after 60 s: {reason}"))
                return
            if time.monotonic() - began > REVIEW_AFTER_S:
                return  # the next reconciliation asks again
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))
            wait = min(wait * 1.6, 5.0)

    async def _query(self, row: OrderRow) -> bool:
        """One question; whether it is answered."""
        point("lookup.before")
        order = await self.venue.find(row.symbol, row.client_id, row.venue_id)
        point("lookup.answered")
        if order is not None:
            self.unacknowledged.pop(row.client_id, None)
            await self._report(row, order)
            return True
        if row.state not in LIVING:
            return True  # it was told meanwhile
        if row.state in (State.OPEN, State.PARTIAL):
            raise UnknownError("the venue no longer knows an order that it had accepted")
        # another process that could have sent it lost the lease before we began: it can only arrive late
        waited = time.monotonic() - self.unacknowledged.get(row.client_id, self.started)
        if waited > self.venue.capabilities.late_arrival_s:
            self.unacknowledged.pop(row.client_id, None)
            self.post(SendResult(row.client_id, State.ABSENT, "the venue does not know it", R_ABSENT))
            return True
        return False

    async def _report(self, row: OrderRow, order: VenueOrder) -> None:
        """Post what the venue says, with the fills that we lack."""
        fills = await self.venue.fills(row.symbol, order) if order.filled > row.filled else []
        self.post(OrderReport(row.client_id, order, tuple(fills)))

    async def fetch_fills(self, order: VenueOrder, client_id: str) -> None:
        """Ask for the fills that a report left out."""
        fills = await self.venue.fills(order.symbol, order)
        self.post(OrderReport(client_id, order, tuple(fills)))

    def ask_fills(self, order: VenueOrder, client_id: str) -> None:
        """``fetch_fills`` beside everything else, repeated until the venue answers."""

        async def ask() -> None:
            while True:
                try:
                    await self.fetch_fills(order, client_id)
                    return
                except VenueError as error:
                    self._count_error(error)
                    log.warning("fills of %s: %s", client_id, error)
                    await asyncio.sleep(random.uniform(0.5, 1.5))

        self.spawn(ask())

    async def reconcile(self, symbols: list[str]) -> None:
        """Ask for every living order and for what else is open. Raises VenueError when the venue can't be
        asked."""
        async with self.reconciling:
            point("reconcile.before")
            living = self.orders.open_orders()
            foreign, there = await self._report_open_orders(symbols)
            for row in living:  # one question for each that is not open any more
                if row.client_id in there:
                    continue
                if row.state is State.INTENT and row.token == self.orders.token:
                    continue  # this very session is sending it, and will be answered
                if known := self.unplaced.reason_for(row):
                    self.post(SendResult(row.client_id, State.REFUSED, known.text, known.code))
                    continue
                with self._tolerate_delisted(row.symbol):
                    if row.state in (State.INTENT, State.UNKNOWN):
                        await self._resolve(row)
                    else:
                        await self._query(row)
            for row in self.orders.recently_not_found(time.time_ns() - LATE_ORDER_NS):
                with self._tolerate_delisted(row.symbol):
                    order = await self.venue.find(row.symbol, row.client_id, row.venue_id)
                    if order is not None:
                        await self.fetch_fills(order, row.client_id)
            point("reconcile.asked")
            self.post(Reconciled(foreign))

    async def _report_open_orders(self, symbols: list[str]) -> tuple[int, set[str]]:
        """Tell what the venue holds open; how many of these orders are foreign, and the ids of ours."""
        foreign, there = 0, set()
        for symbol in symbols:
            orders: list[VenueOrder] = []
            with self._tolerate_delisted(symbol):
                orders = await self.venue.open_orders(symbol)
            for order in orders:
                known = ids.parse(order.client_id)
                if known is None or known.bot != self.orders.run.tag:
                    foreign += 1
                elif order.client_id not in self.orders.rows:
                    self.post(UntrackedOrder(order))
                else:
                    there.add(order.client_id)
                    await self._report(self.orders.rows[order.client_id], order)
        return foreign, there

    @contextlib.contextmanager
    def _tolerate_delisted(self, symbol: str) -> Iterator[None]:
        """Of a market that the venue has removed nothing can be asked: what is known of it stays as it is,
        and keeps nothing else from being asked."""
        try:
            yield
        except RefusedError as refused:
            if refused.code != UNKNOWN_MARKET:
                raise
            if symbol not in self.delisted:
                log.warning("%s: %s; its orders can't be asked for", symbol, refused)
            self.delisted.add(symbol)

    def reconcile_soon(self, symbols: list[str]) -> None:
        """``reconcile`` beside everything else; a venue that can't be asked is asked again next time."""

        async def ask() -> None:
            try:
                await self.reconcile(symbols)
            except VenueError as error:
                self._count_error(error)
                log.warning("reconciliation: %s", error)

        self.spawn(ask())

    async def _listen(self) -> None:
        async for item in self.venue.stream():
            point("event.before")
            if isinstance(item, StreamBreak):
                log.info("private stream (%s); asking for what may have been missed", item.reason)
                self.reconcile_soon(list(self.orders.decisions.symbols))
                continue
            client_id = item.client_id or self._by_venue_id(item.venue_id)
            known = ids.parse(client_id)
            if known is None or known.bot != self.orders.run.tag:
                continue
            if isinstance(item, VenueOrder):
                self.post(OrderReport(client_id, item, ()))
            else:
                self.post(OrderReport(client_id, None, (item,)))

    def _by_venue_id(self, venue_id: str) -> str:
        return next((row.client_id for row in self.orders.rows.values() if row.venue_id == venue_id), "")
