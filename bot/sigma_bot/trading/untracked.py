"""Orders of ours that are not in memory: read from the journal, then booked as the venue reports them."""

from __future__ import annotations

import logging

from sigma_bot.health.logs import about
from sigma_bot.journal.filters import Filter
from sigma_bot.journal.journal import Journal
from sigma_bot.model.orders import State
from sigma_bot.trading.executor import OrderExecutor
from sigma_bot.trading.order_manager import OrderManager
from sigma_bot.venues.types import VenueOrder

log = logging.getLogger(__name__)
RECENT_ORDERS = 100
"""So many of the journal's latest orders are looked through for such as never arrived."""


class UntrackedOrders:
    """Takes them into memory."""

    def __init__(self, journal: Journal, orders: OrderManager, executor: OrderExecutor) -> None:
        self._journal, self._orders, self._executor = journal, orders, executor

    def track(self, order: VenueOrder) -> None:
        """Track an order that the venue holds; runs in a task of the executor."""
        self._executor.spawn(self._track(order))

    async def _track(self, order: VenueOrder) -> None:
        client_id = order.client_id
        found = await self._journal.order(self._orders.run.bot, client_id)
        if found is None:
            log.error("the venue holds %s, which the journal does not know; left alone", client_id)
            return
        row, fills = found
        with about(order=row.order_id):
            if client_id not in self._orders.rows:
                self._orders.track_stored([row], fills)
            self._executor.request_fills(order, client_id)

    async def track_not_found(self) -> None:
        """Track the last orders that the venue did not know: they may have arrived since."""
        entries = await self._journal.orders(Filter(self._orders.run.bot, limit=RECENT_ORDERS))
        rows = [e.row for e in entries if e.row.state is State.NOT_FOUND]
        self._orders.track_stored([row for row in rows if row.client_id not in self._orders.rows], ())
