"""OrderExecutor: sends what was approved, and finds out what became of it.

It decides nothing: every answer of the venue, and every missing one, is put into the bot's mailbox, and the
bot books it. An answer that was lost makes an order unknown; it is looked up by its client id until the venue
answers, and never sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from sigma_bot.engine.types import R_ABSENT, R_HALTED, R_VENUE
from sigma_bot.health.logs import about
from sigma_bot.health.metrics import ErrorKind
from sigma_bot.journal.lease import Lease
from sigma_bot.model import ids
from sigma_bot.model.orders import LIVING, OrderRow, State
from sigma_bot.retry import Backoff
from sigma_bot.times import MINUTE
from sigma_bot.trading.approval import RECHECK_AFTER_S, Approved, RiskGate
from sigma_bot.trading.controls import ControlsReader
from sigma_bot.trading.crash import point
from sigma_bot.trading.events import (
    BalanceTold,
    CancelFailed,
    CurrencyPriced,
    OrderReport,
    Reconciled,
    SendResult,
    TaskFailed,
    UntrackedOrder,
)
from sigma_bot.trading.mailbox import Mailbox
from sigma_bot.trading.order_manager import OrderManager
from sigma_bot.trading.tasks import cancel_tasks
from sigma_bot.trading.unplaced import UnplacedOrders, UnplacedReason
from sigma_bot.venues.error_rows import BALANCE, CLOCK, UNKNOWN_MARKET
from sigma_bot.venues.types import (
    RefusedError,
    StreamBreak,
    TransientError,
    UnknownError,
    VenueClient,
    VenueError,
    VenueOrder,
)

log = logging.getLogger(__name__)
ERROR_KINDS: dict[type[VenueError], ErrorKind] = {
    RefusedError: "refused",
    TransientError: "transient",
    UnknownError: "unknown",
}
REVIEW_AFTER_S = 60.0
"""An order of which the venue has said nothing for so long needs a human."""
LATE_ORDER_NS = 10 * MINUTE
"""So long an order that was not found is asked for again at each reconciliation."""
STREAM_GRACE_S = 0.25
"""So long the private stream may report a cancel by itself, before the venue is asked."""
SEND_WINDOW_S = 2.0
"""An order that could not be sent for so long is given up: its price is another by now."""
CANCEL_ATTEMPTS = 4
SEND_BACKOFF = Backoff(0.05)
CANCEL_BACKOFF = Backoff(0.1)
LOOKUP_BACKOFF = Backoff(0.1, factor=1.6, maximum=5.0, jitter=(0.8, 1.2))
FILLS_BACKOFF = Backoff(1.0, factor=1.0, jitter=(0.5, 1.5))


class OrderExecutor:
    """One account at one venue. ``delisted`` are symbols that the venue has removed; ``on_error`` counts the
    venue's errors."""

    def __init__(
        self,
        venue: VenueClient,
        orders: OrderManager,
        mailbox: Mailbox,
        gate: RiskGate,
        controls: ControlsReader,
        lease: Lease,
        unplaced: UnplacedOrders,
        delisted: Iterable[str],
        on_error: Callable[[ErrorKind], None],
    ) -> None:
        self.venue, self.orders, self.mailbox = venue, orders, mailbox
        self.gate, self.controls, self.lease = gate, controls, lease
        self.unplaced, self.delisted, self.on_error = unplaced, set(delisted), on_error
        self.started = time.monotonic()
        self.tasks: set[asyncio.Task[None]] = set()
        self.sending: dict[str, asyncio.Event] = {}  # set when the order's sending has come to an end
        self.unacknowledged: dict[str, float] = {}  # when a send ended without an answer, time.monotonic
        self.reconciling = asyncio.Lock()
        self.questions: set[str] = set()  # what is being asked besides orders
        self.clock_rejected = asyncio.Event()  # the venue found a request out of its time

    def send(self, approved: Approved) -> None:
        """Send one order; the answer goes to the mailbox."""
        self.sending[approved.row.client_id] = asyncio.Event()
        with about(order=approved.row.order_id):
            self.spawn(self._send(approved))

    def cancel(self, row: OrderRow) -> None:
        """Ask the venue to cancel; the answer goes to the mailbox."""
        with about(order=row.order_id):
            self.spawn(self._cancel(row))

    def listen(self) -> None:
        """Listen to the private stream from now on."""
        self.spawn(self._listen())

    async def close(self) -> None:
        """Stop everything that is under way. What was sent stays sent: the next start finds out."""
        await cancel_tasks(self.tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task of its own; what it raises ends the session."""
        task = asyncio.create_task(self._guarded(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it is, the bot hears of it and stops
            self.mailbox.put(TaskFailed(error))

    def _count_error(self, error: VenueError) -> None:
        self.on_error(ERROR_KINDS.get(type(error), "bug"))
        if error.code == CLOCK:
            self.clock_rejected.set()

    # --- one order

    async def _send(self, approved: Approved) -> None:
        row = approved.row
        result = await self._send_until_answered(approved)
        self.mailbox.put(result)
        self.sending.pop(row.client_id).set()
        if isinstance(result, SendResult) and result.state is State.UNKNOWN:
            self.unacknowledged[row.client_id] = time.monotonic()
            log.warning("order %s: no answer (%s); looking it up", row.client_id, result.reason)
            await self._resolve(row)

    async def _send_until_answered(self, approved: Approved) -> OrderReport | SendResult:
        """Send until the venue has accepted or rejected it, or it is unknown."""
        row, failures = approved.row, 0
        client_id = row.client_id
        began = time.monotonic()
        while True:
            if failures or began - approved.at > RECHECK_AFTER_S:
                await self._refresh_halt()
            if self.gate.halted and not self.orders.only_reduces(row):
                return SendResult(client_id, State.REJECTED, "not sent: halted meanwhile", R_HALTED)
            try:
                point("send.before")
                order, fills = await self.venue.create(
                    approved.order, self.lease.deadline_ns, partial(self.unplaced.mark_written, row)
                )
                point("send.answered")
                return OrderReport(client_id, order, tuple(fills))
            except RefusedError as error:
                self._count_error(error)
                self.unplaced.add(row, UnplacedReason(str(error), R_VENUE))
                return SendResult(client_id, State.REJECTED, str(error), short=error.code == BALANCE)
            except TransientError as error:
                self._count_error(error)
                self.unplaced.add(row, UnplacedReason(f"not sent: {error}", R_ABSENT))
                wait = max(error.after, SEND_BACKOFF.delay(failures))
                if error.code == "late" or time.monotonic() - began + wait > SEND_WINDOW_S:
                    return SendResult(client_id, State.REJECTED, f"not sent: {error}", R_ABSENT)
                failures += 1
                await asyncio.sleep(wait)
            except UnknownError as error:
                self._count_error(error)
                point("send.unknown")
                return SendResult(client_id, State.UNKNOWN, str(error))

    async def _refresh_halt(self) -> None:
        """Heed a halt that was given since the order was approved."""
        self.gate.halted = (await self.controls.read()).halted_by is not None

    async def _cancel(self, row: OrderRow) -> None:
        if (sending := self.sending.get(row.client_id)) is not None:
            await sending.wait()  # a cancel that overtakes its order finds nothing, and the order stays
        if self.unplaced.reason_for(row) is not None:
            return
        for attempt in range(CANCEL_ATTEMPTS):
            try:
                point("cancel.before")
                await self.venue.cancel(row.symbol, row.client_id, row.venue_id)
                point("cancel.answered")
                break
            except RefusedError as error:
                self._count_error(error)
                if error.code != "gone":
                    self.mailbox.put(CancelFailed(row.client_id, str(error)))
                    return
                break
            except TransientError as error:
                self._count_error(error)
                await asyncio.sleep(max(error.after, CANCEL_BACKOFF.delay(attempt)))
            except UnknownError as error:  # a cancel may be sent again: what is gone can't go twice
                self._count_error(error)
                await asyncio.sleep(CANCEL_BACKOFF.delay(attempt))
        else:
            self.mailbox.put(CancelFailed(row.client_id, "the venue takes no cancel now"))
            return
        await asyncio.sleep(STREAM_GRACE_S)
        await self._resolve(row)

    async def _resolve(self, row: OrderRow) -> None:
        """Look one order up until the venue says what became of it; that it is open is an answer too."""
        began = time.monotonic()
        reason = "the venue does not know it yet"
        for attempt in itertools.count():
            if row.state not in LIVING:
                return
            try:
                if await self._query(row):
                    return
            except VenueError as error:
                self._count_error(error)
                reason = str(error)
            if time.monotonic() - began > REVIEW_AFTER_S:
                if row.state in (State.INTENT, State.UNKNOWN):
                    text = f"not settled after 60 s: {reason}"
                    self.mailbox.put(SendResult(row.client_id, State.NEEDS_REVIEW, text))
                return  # of an order that was acknowledged the next reconciliation asks again
            await asyncio.sleep(LOOKUP_BACKOFF.delay(attempt))

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
            return True  # it was reported meanwhile
        if row.state in (State.OPEN, State.PARTIAL):
            raise UnknownError("the venue no longer knows an order that it had accepted")
        # another process that could have sent it lost the lease before we began: it can only arrive late
        waited = time.monotonic() - self.unacknowledged.get(row.client_id, self.started)
        if waited > self.venue.capabilities.late_arrival_s:
            self.unacknowledged.pop(row.client_id, None)
            self.mailbox.put(
                SendResult(row.client_id, State.NOT_FOUND, "the venue does not know it", R_ABSENT)
            )
            return True
        return False

    # --- executions

    async def _report(self, row: OrderRow, order: VenueOrder) -> None:
        """Pass on what the venue says, with the fills that are not booked yet."""
        fills = await self.venue.fills(row.symbol, order) if order.filled > row.filled else []
        self.mailbox.put(OrderReport(row.client_id, order, tuple(fills)))

    async def _report_fills(self, order: VenueOrder, client_id: str) -> None:
        """Ask for all fills of an order."""
        fills = await self.venue.fills(order.symbol, order)
        self.mailbox.put(OrderReport(client_id, order, tuple(fills)))

    def request_fills(self, order: VenueOrder, client_id: str) -> None:
        """Ask for the fills that a report left out, in a task, until the venue answers."""

        async def ask() -> None:
            for attempt in itertools.count():
                try:
                    await self._report_fills(order, client_id)
                    return
                except VenueError as error:
                    self._count_error(error)
                    log.warning("fills of %s: %s", client_id, error)
                    await asyncio.sleep(FILLS_BACKOFF.delay(attempt))

        self.spawn(ask())

    # --- what else the venue is asked

    def request_price(self, currency: str, quote: str) -> None:
        """Ask what a currency costs, in a task, until the venue answers."""

        async def ask() -> None:
            self.mailbox.put(CurrencyPriced(currency, await self.venue.price(currency, quote)))

        self._ask_once(f"price of {currency}", ask)

    def request_balance(self, symbol: str, currency: str) -> None:
        """Ask how much of a symbol's units is free, in a task, until the venue answers."""

        async def ask() -> None:
            held = (await self.venue.balances()).get(currency)
            self.mailbox.put(BalanceTold(symbol, held.free if held is not None else Decimal(0)))

        self._ask_once(f"balance of {currency}", ask)

    def _ask_once(self, what: str, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """One such question at a time; a venue that can't be asked is asked again."""
        if what in self.questions:
            return
        self.questions.add(what)

        async def until_answered() -> None:
            try:
                for attempt in itertools.count():
                    try:
                        return await ask()
                    except VenueError as error:
                        self._count_error(error)
                        log.warning("%s: %s", what, error)
                        await asyncio.sleep(FILLS_BACKOFF.delay(attempt))
            finally:
                self.questions.discard(what)

        self.spawn(until_answered())

    # --- reconciliation

    async def reconcile(self, symbols: list[str]) -> None:
        """Ask for every open order of ours and for what else is open. Raises VenueError when the venue can't
        be asked."""
        async with self.reconciling:
            point("reconcile.before")
            open_orders = self.orders.open_orders()
            foreign, at_venue = await self._report_open_orders(symbols)
            for row in open_orders:  # one question for each that is not open any more
                if row.client_id not in at_venue:
                    with about(order=row.order_id):
                        await self._reconcile_order(row)
            for row in self.orders.recently_not_found(time.time_ns() - LATE_ORDER_NS):
                with about(order=row.order_id), self._tolerate_delisted(row.symbol):
                    order = await self.venue.find(row.symbol, row.client_id, row.venue_id)
                    if order is not None:
                        await self._report_fills(order, row.client_id)
            point("reconcile.asked")
            self.mailbox.put(Reconciled(foreign))

    async def _reconcile_order(self, row: OrderRow) -> None:
        """Of an order that the venue does not list as open: find out what became of it."""
        if row.state is State.INTENT and row.token == self.orders.token:
            return  # this very session is sending it, and will be answered
        if reason := self.unplaced.reason_for(row):
            self.mailbox.put(SendResult(row.client_id, State.REJECTED, reason.text, reason.code))
            return
        with self._tolerate_delisted(row.symbol):
            if row.state in (State.INTENT, State.UNKNOWN):
                await self._resolve(row)
            else:
                await self._query(row)

    async def _report_open_orders(self, symbols: list[str]) -> tuple[int, set[str]]:
        """Pass on what the venue holds open; how many of these orders are foreign, and the ids of ours."""
        foreign, ours = 0, set()
        for symbol in symbols:
            orders: list[VenueOrder] = []
            with self._tolerate_delisted(symbol):
                orders = await self.venue.open_orders(symbol)
            for order in orders:
                parsed = ids.parse(order.client_id)
                if parsed is None or parsed.bot != self.orders.run.tag:
                    foreign += 1
                elif (row := self.orders.rows.get(order.client_id)) is None:
                    self.mailbox.put(UntrackedOrder(order))
                else:
                    ours.add(order.client_id)
                    with about(order=row.order_id):
                        await self._report(row, order)
        return foreign, ours

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
        """``reconcile`` in a task; a venue that can't be asked is asked again next time."""

        async def ask() -> None:
            try:
                await self.reconcile(symbols)
            except VenueError as error:
                self._count_error(error)
                log.warning("reconciliation: %s", error)

        self.spawn(ask())

    # --- the private stream

    async def _listen(self) -> None:
        async for item in self.venue.stream():
            point("event.before")
            if isinstance(item, StreamBreak):
                log.info("private stream (%s); asking for what may have been missed", item.reason)
                self.reconcile_soon(list(self.orders.decisions.symbols))
                continue
            client_id = item.client_id or self._client_id_of(item.venue_id)
            parsed = ids.parse(client_id)
            if parsed is None or parsed.bot != self.orders.run.tag:
                continue
            if isinstance(item, VenueOrder):
                self.mailbox.put(OrderReport(client_id, item, ()))
            else:
                self.mailbox.put(OrderReport(client_id, None, (item,)))

    def _client_id_of(self, venue_id: str) -> str:
        return next((row.client_id for row in self.orders.rows.values() if row.venue_id == venue_id), "")
