"""LiveTasks: what a LIVE bot does besides deciding. Reconciliation, the venue's clock, rotated keys."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from sigma_bot.errors import BadInputError
from sigma_bot.health.metrics import BotMetrics
from sigma_bot.model.units import money_of
from sigma_bot.trading.approval import RiskGate
from sigma_bot.trading.bot import RestartError
from sigma_bot.trading.events import Alert
from sigma_bot.trading.executor import OrderExecutor
from sigma_bot.trading.mailbox import Mailbox
from sigma_bot.trading.order_manager import OrderManager
from sigma_bot.trading.tasks import Work
from sigma_bot.venues.error_rows import MALFORMED
from sigma_bot.venues.errors import COUNTS, clocks
from sigma_bot.venues.keys import FOLDER_VARIABLE
from sigma_bot.venues.types import VenueClient, VenueError

log = logging.getLogger(__name__)
RECONCILE_S = 15.0
CLOCK_S = 60.0
DRIFTED_S = 5.0
"""How often a clock is measured that is wrong: trading goes on when it is right again."""
KEYS_S = 5.0


class KeysChangedError(RestartError):
    """The files of the keys are others now."""


class LiveTasks:
    """Their findings go to the bot's mailbox; they trade nothing."""

    def __init__(
        self,
        venue: VenueClient,
        orders: OrderManager,
        executor: OrderExecutor,
        gate: RiskGate,
        mailbox: Mailbox,
        metrics: BotMetrics,
    ) -> None:
        self.venue, self.orders, self.executor = venue, orders, executor
        self.gate, self.mailbox, self.metrics = gate, mailbox, metrics
        self.symbols = list(orders.decisions.symbols)
        self.differences: dict[str, Decimal] = {}
        self.shortfalls: dict[str, Decimal] = {}
        self.malformed = 0

    def all(self) -> tuple[Work, ...]:
        """Those that run as long as the session."""
        tasks: tuple[Work, ...] = (self.reconcile, self.watch_clock)
        return (*tasks, self.watch_keys) if FOLDER_VARIABLE in os.environ else tasks

    async def reconcile(self) -> None:
        """Compare with the venue, for ever."""
        while True:
            await asyncio.sleep(RECONCILE_S)
            self.executor.reconcile_soon(self.symbols)
            for currency in self.orders.fees.met:  # what a fee is worth changes
                self.executor.request_price(currency, self.orders.run.currency)
            try:
                await self.compare_balances()
            except VenueError as error:
                log.warning("the balances can't be read: %s", error)

    async def compare_balances(self) -> None:
        """The venue's balances against the journal's fills. A position that is not there any more is an
        alert; other differences are other hands on the account, and logged when they change."""
        held = {c: b.free + b.locked for c, b in (await self.venue.balances()).items()}
        if self.orders.balances.opening is None:
            self._check_cash(held)
        differences = self.orders.balances.differences(held)
        if differences != self.differences:
            self.differences = differences
            text = ", ".join(f"{value:+f} {currency}" for currency, value in differences.items()) or "none"
            log.info("differences between account and journal: %s", text)
        self.metrics.reconciled(len(differences))
        malformed = sum(n for (_, code), n in COUNTS.items() if code == MALFORMED)
        for _ in range(malformed - self.malformed):
            self.metrics.malformed("venue")
        self.malformed = malformed
        self._check_positions(held)

    def _check_positions(self, held: Mapping[str, Decimal]) -> None:
        shortfalls, before = self.orders.position_shortfalls(held), self.shortfalls
        self.shortfalls = shortfalls
        for symbol in (
            shortfalls.keys() & before.keys()
        ):  # twice in a row: not a fill that is still on its way
            text = f"{symbol}: the account lacks {shortfalls[symbol]:f} of the position"
            self.mailbox.put(Alert("position-missing", text, symbol))
        for symbol in sorted(self.executor.delisted):
            text = f"{symbol}: the venue has removed this market; what is held of it can't be sold there"
            self.mailbox.put(Alert("market-removed", text, symbol))

    def _check_cash(self, held: Mapping[str, Decimal]) -> None:
        """A fresh run must find the money it is to trade with. Raises BadInputError."""
        b, run = self.orders.decisions.broker, self.orders.run
        cash, there = money_of(b.cash_quanta, run.precision), held.get(run.currency, Decimal(0))
        if cash > there:
            raise BadInputError(
                f"spec.account.cash: {cash:f} {run.currency} is more than the account holds ({there:f}); "
                "lower it to what this strategy may use"
            )

    async def watch_clock(self) -> None:
        """Measure the venue's clock, for ever; at once when the venue finds a request out of its time."""
        rejected = self.executor.clock_rejected
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRIFTED_S if self.gate.drifted else CLOCK_S):
                    await rejected.wait()
            rejected.clear()
            try:
                await self.measure_clock()
            except VenueError as error:
                log.warning("the venue's clock can't be read: %s", error)

    async def measure_clock(self) -> None:
        """While the clocks are more than a second apart nothing is sent. One slow answer looks like that too,
        so three must say so."""
        gate, before = self.gate, self.gate.drifted
        gate.drift = await self.venue.clock_offset_ns()
        for _ in range(2):
            if gate.drifted:
                gate.drift = min(gate.drift, await self.venue.clock_offset_ns(), key=abs)
        self.metrics.clock_offset(gate.drift / 1e9)
        if gate.drifted and not before:
            text = f"{clocks(gate.drift)}; nothing is sent until it is right: let chrony or NTP set it"
            self.mailbox.put(Alert("clock-drift", text, ""))
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


def key_file_times(folder: str) -> list[int]:
    """When each of the key files was written."""
    return [path.stat().st_mtime_ns for name in ("apiKey", "secret") if (path := Path(folder, name)).exists()]
