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
from sigma_bot.trading.approval import LONG_S, Approved
from sigma_bot.trading.crash import point
from sigma_bot.trading.live import LiveBook
from sigma_bot.trading.tasks import end
from sigma_bot.trading.unsent import Known, Unsent
from sigma_bot.venues.error_rows import CLOCK, UNKNOWN_MARKET
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
KINDS: dict[type[VenueError], ErrorKind] = {
    RefusedError: "refused",
    TransientError: "transient",
    UnknownError: "unknown",
}
PARK_AFTER_S = 60.0
DOUBT_NS = 10 * MINUTE
"""So long an order that never arrived is asked for again at each reconciliation."""
STREAM_S = 0.25
"""So long the private stream may tell of a cancel by itself, before the venue is asked."""
FRESH_S = 2.0
"""An order that could not be sent for so long is given up: its price is another by now."""


@dataclass(frozen=True, slots=True)
class Told:
    """The venue said this of an order."""

    client_id: str
    order: VenueOrder | None
    fills: tuple[VenueFill, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
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
class Adopt:
    """The venue holds an order with one of our ids that is not in memory."""

    order: VenueOrder


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Everything living was asked for; ``foreign`` open orders are not ours."""

    foreign: int


@dataclass(frozen=True, slots=True)
class Bug:
    """A fault of ours: the bot stops."""

    error: BaseException


async def nothing() -> None:
    """There are no controls to be read."""


Fact = Told | Outcome | CancelFailed | Adopt | Reconciled | Bug


class OrderExecutor:
    """One account at one venue."""

    def __init__(
        self,
        venue: VenueClient,
        book: LiveBook,
        deadline: Callable[[], int],
        post: Callable[[Fact], None],
        failed: Callable[[ErrorKind], None],
        unsent: Unsent,
    ) -> None:
        self.unsent = unsent
        self.venue, self.book, self.deadline, self.post, self.failed = venue, book, deadline, post, failed
        self.still: Callable[[OrderRow], bool] = lambda _: True
        self.look: Callable[[], Awaitable[None]] = nothing
        self.started = time.monotonic()
        self.tasks: set[asyncio.Task[None]] = set()
        self.sending: dict[str, asyncio.Event] = {}  # set when the order's sending has come to an end
        self.gone: set[str] = set()  # symbols that the venue has removed
        self.unanswered: dict[str, float] = {}  # when a send ended without an answer, time.monotonic
        self.reconciling = asyncio.Lock()
        self.mistimed = asyncio.Event()  # the venue found a request out of its time

    def send(self, approved: Approved) -> None:
        """Send one order; the answer is posted."""
        self.sending[approved.row.client_id] = asyncio.Event()
        self.beside(self._send(approved))

    def cancel(self, row: OrderRow) -> None:
        """Ask the venue to cancel; the answer is posted."""
        self.beside(self._cancel(row))

    def follow(self) -> None:
        """Listen to the private stream from now on."""
        self.beside(self._follow())

    async def close(self) -> None:
        """Stop everything that is under way. What was sent stays sent: the next start finds out."""
        await end(self.tasks)

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside everything else; what it raises ends the bot."""
        task = asyncio.create_task(self._guarded(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it is, the bot is told and stops
            self.post(Bug(error))

    def _count(self, error: VenueError) -> None:
        self.failed(KINDS.get(type(error), "bug"))
        if error.code == CLOCK:
            self.mistimed.set()

    async def _send(self, approved: Approved) -> None:
        row = approved.row
        fact = await self._answer(approved)
        self.post(fact)
        self.sending.pop(row.client_id).set()
        if isinstance(fact, Outcome) and fact.state is State.UNKNOWN:
            self.unanswered[row.client_id] = time.monotonic()
            log.warning("order %s: no answer (%s); looking it up", row.client_id, fact.reason)
            await self._settle(row)

    async def _answer(self, approved: Approved) -> Told | Outcome:
        """Send until the venue has taken or refused it, or nobody knows."""
        client_id, tries = approved.row.client_id, 0
        began = time.monotonic()
        while True:
            if tries or began - approved.at > LONG_S:
                await self.look()
            if not self.still(approved.row):
                return Outcome(client_id, State.REFUSED, "not sent: halted meanwhile", R_HALTED)
            try:
                point("send.before")
                order, fills = await self.venue.create(
                    approved.order, self.deadline(), partial(self.unsent.written, approved.row)
                )
                point("send.answered")
                return Told(client_id, order, tuple(fills))
            except RefusedError as error:
                self._count(error)
                self.unsent.keep(approved.row, Known(str(error), R_VENUE))
                return Outcome(client_id, State.REFUSED, str(error))
            except TransientError as error:
                self._count(error)
                self.unsent.keep(approved.row, Known(f"not sent: {error}", R_ABSENT))
                wait = max(error.after, 0.05 * 2**tries)
                if error.code == "late" or time.monotonic() - began + wait > FRESH_S:
                    return Outcome(client_id, State.REFUSED, f"not sent: {error}", R_ABSENT)
                tries += 1
                await asyncio.sleep(wait)
            except UnknownError as error:
                self._count(error)
                point("send.unknown")
                return Outcome(client_id, State.UNKNOWN, str(error))

    async def _cancel(self, row: OrderRow) -> None:
        if (sending := self.sending.get(row.client_id)) is not None:
            await sending.wait()  # a cancel that overtakes its order finds nothing, and the order stays
        if self.unsent.of(row) is not None:
            return
        for attempt in range(4):
            try:
                point("cancel.before")
                await self.venue.cancel(row.symbol, row.client_id, row.venue_id)
                point("cancel.answered")
                break
            except RefusedError as error:
                self._count(error)
                if error.code != "gone":
                    self.post(CancelFailed(row.client_id, str(error)))
                    return
                break
            except TransientError as error:
                self._count(error)
                await asyncio.sleep(max(error.after, 0.1 * 2**attempt))
            except UnknownError as error:  # a cancel may be sent again: what is gone can't go twice
                self._count(error)
                await asyncio.sleep(0.1 * 2**attempt)
        else:
            self.post(CancelFailed(row.client_id, "the venue takes no cancel now"))
            return
        await asyncio.sleep(STREAM_S)
        await self._settle(row)

    async def _settle(self, row: OrderRow) -> None:
        """Look one order up until the venue says what became of it; a resting order is an answer too."""
        began, wait = time.monotonic(), 0.1
        reason = "the venue does not know it yet"
        while row.state in LIVING:
            try:
                if await self._look(row):
                    return
            except VenueError as error:
                self._count(error)
                reason = str(error)
            if row.state in (State.INTENT, State.UNKNOWN) and time.monotonic() - began > PARK_AFTER_S:
                self.post(Outcome(row.client_id, State.PARKED, f"not settled after 60 s: {reason}"))
                return
            if time.monotonic() - began > PARK_AFTER_S:
                return  # the next reconciliation asks again
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))
            wait = min(wait * 1.6, 5.0)

    async def _look(self, row: OrderRow) -> bool:
        """One question; whether it is answered."""
        point("lookup.before")
        order = await self.venue.find(row.symbol, row.client_id, row.venue_id)
        point("lookup.answered")
        if order is not None:
            self.unanswered.pop(row.client_id, None)
            await self._tell(row, order)
            return True
        if row.state not in LIVING:
            return True  # it was told meanwhile
        if row.state in (State.OPEN, State.PARTIAL):
            raise UnknownError("the venue no longer knows an order that it had accepted")
        # another process that could have sent it lost the lease before we began: it can only arrive late
        waited = time.monotonic() - self.unanswered.get(row.client_id, self.started)
        if waited > self.venue.capabilities.late_arrival_s:
            self.unanswered.pop(row.client_id, None)
            self.post(Outcome(row.client_id, State.ABSENT, "the venue does not know it", R_ABSENT))
            return True
        return False

    async def _tell(self, row: OrderRow, order: VenueOrder) -> None:
        """Post what the venue says, with the fills that we lack."""
        fills = await self.venue.fills(row.symbol, order) if order.filled > row.filled else []
        self.post(Told(row.client_id, order, tuple(fills)))

    async def fetch_fills(self, order: VenueOrder, client_id: str) -> None:
        """Ask for the fills that a report left out."""
        fills = await self.venue.fills(order.symbol, order)
        self.post(Told(client_id, order, tuple(fills)))

    def ask_fills(self, order: VenueOrder, client_id: str) -> None:
        """``fetch_fills`` beside everything else, repeated until the venue answers."""

        async def ask() -> None:
            while True:
                try:
                    await self.fetch_fills(order, client_id)
                    return
                except VenueError as error:
                    self._count(error)
                    log.warning("fills of %s: %s", client_id, error)
                    await asyncio.sleep(random.uniform(0.5, 1.5))

        self.beside(ask())

    async def reconcile(self, symbols: list[str]) -> None:
        """Ask for every living order and for what else is open. Raises VenueError when the venue can't be
        asked."""
        async with self.reconciling:
            point("reconcile.before")
            living = self.book.living()
            foreign, there = await self._open(symbols)
            for row in living:  # one question for each that is not open any more
                if row.client_id in there:
                    continue
                if row.state is State.INTENT and row.token == self.book.token:
                    continue  # this very session is sending it, and will be answered
                if known := self.unsent.of(row):
                    self.post(Outcome(row.client_id, State.REFUSED, known.reason, known.code))
                    continue
                with self._listed(row.symbol):
                    if row.state in (State.INTENT, State.UNKNOWN):
                        await self._settle(row)
                    else:
                        await self._look(row)
            for row in self.book.doubted(time.time_ns() - DOUBT_NS):
                with self._listed(row.symbol):
                    order = await self.venue.find(row.symbol, row.client_id, row.venue_id)
                    if order is not None:
                        await self.fetch_fills(order, row.client_id)
            point("reconcile.asked")
            self.post(Reconciled(foreign))

    async def _open(self, symbols: list[str]) -> tuple[int, set[str]]:
        """Tell what the venue holds open; how many of these orders are foreign, and the ids of ours."""
        foreign, there = 0, set()
        for symbol in symbols:
            orders: list[VenueOrder] = []
            with self._listed(symbol):
                orders = await self.venue.open_orders(symbol)
            for order in orders:
                known = ids.parse(order.client_id)
                if known is None or known.bot != self.book.run.tag:
                    foreign += 1
                elif order.client_id not in self.book.rows:
                    self.post(Adopt(order))
                else:
                    there.add(order.client_id)
                    await self._tell(self.book.rows[order.client_id], order)
        return foreign, there

    @contextlib.contextmanager
    def _listed(self, symbol: str) -> Iterator[None]:
        """Of a market that the venue has removed nothing can be asked: what is known of it stays as it is,
        and keeps nothing else from being asked."""
        try:
            yield
        except RefusedError as refused:
            if refused.code != UNKNOWN_MARKET:
                raise
            if symbol not in self.gone:
                log.warning("%s: %s; its orders can't be asked for", symbol, refused)
            self.gone.add(symbol)

    def reconcile_soon(self, symbols: list[str]) -> None:
        """``reconcile`` beside everything else; a venue that can't be asked is asked again next time."""

        async def ask() -> None:
            try:
                await self.reconcile(symbols)
            except VenueError as error:
                self._count(error)
                log.warning("reconciliation: %s", error)

        self.beside(ask())

    async def _follow(self) -> None:
        async for item in self.venue.stream():
            point("event.before")
            if isinstance(item, StreamBreak):
                log.info("private stream (%s); asking for what may have been missed", item.reason)
                self.reconcile_soon(list(self.book.core.symbols))
                continue
            client_id = item.client_id or self._by_venue_id(item.venue_id)
            known = ids.parse(client_id)
            if known is None or known.bot != self.book.run.tag:
                continue
            if isinstance(item, VenueOrder):
                self.post(Told(client_id, item, ()))
            else:
                self.post(Told(client_id, None, (item,)))

    def _by_venue_id(self, venue_id: str) -> str:
        return next((row.client_id for row in self.book.rows.values() if row.venue_id == venue_id), "")
