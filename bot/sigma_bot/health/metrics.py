"""What a bot and a feed count and measure, for Prometheus.

One method for each thing that happens; who calls it knows nothing of Prometheus. Labels take few values each:
what is not known beforehand, such as the reason of a rejection, is cut off at fifty.
Every name is explained in docs/metrics.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector

from sigma_bot.model.orders import State

ErrorKind = Literal["refused", "transient", "unknown", "bug"]
ERROR_KINDS: tuple[ErrorKind, ...] = ("refused", "transient", "unknown", "bug")

# seconds; around the budget of 5 ms in the mean, 20 ms at p99, and the bound of 600 ms
LATENCY = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.4, 0.6, 1.0,
    5.0,
)  # fmt: skip
# seconds; what happens inside the process
SHORT = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
MOST_VALUES = 50
OTHER = "other"


class _Few:
    """The values a label may take: the first fifty that come; what comes later is "other"."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._known:
            return value
        if len(self._known) >= MOST_VALUES:
            return OTHER
        self._known.add(value)
        return value


class Metrics:
    """What every process has: its registry, its memory and processor time, its event loop's lag."""

    def __init__(self) -> None:
        # a second series for each counter, which nothing reads
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        self._lag = self._histogram(
            "sigma_event_loop_lag_seconds", "By how much the event loop wakes a sleeper too late", SHORT
        )
        self._malformed = self._counter(
            "sigma_malformed_messages", "Messages that could not be understood, by sender", ["source"]
        )
        self._sources = _Few()

    def text(self) -> bytes:
        """The answer to a scrape."""
        return generate_latest(self.registry)

    def lag(self, seconds: float) -> None:
        """The event loop woke a sleeper so much too late."""
        self._lag.observe(seconds)

    def malformed(self, source: str) -> None:
        """A message of ``source`` (a venue, the bus) could not be understood."""
        self._malformed.labels(self._sources(source)).inc()

    def names(self) -> list[str]:
        """Every exported name of ours, sorted, as it appears in a query."""
        suffix = {"counter": "_total", "info": "_info"}
        return sorted(
            metric.name + suffix.get(metric.type, "")
            for metric in self.registry.collect()
            if metric.name.startswith("sigma_")
        )

    def _counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(name, text, tuple(labels), registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(name, text, tuple(labels), registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, registry=self.registry, buckets=buckets)

    def _info(self, name: str, text: str, values: dict[str, str]) -> None:
        Info(name, text, registry=self.registry).info(values)


class BotMetrics(Metrics):
    """What a bot tells. ``about`` describes it once: strategy, mode, venue, code, version.

    Durations are seconds; instants are seconds since 1970.
    """

    def __init__(self, about: dict[str, str]) -> None:
        super().__init__()
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self._info("sigma_bot", "What runs here", about)
        self._ticks = counter("sigma_ticks", "Ticks that the strategy has seen")
        self._age = histogram(
            "sigma_tick_age_seconds", "From a tick's arrival in the feed until the bot took it up", LATENCY
        )
        self._step = histogram(
            "sigma_step_seconds", "One tick through matching, strategy and risk, without the journal", SHORT
        )
        self._to_order = histogram(
            "sigma_tick_to_order_seconds",
            "From a tick's arrival until its order is sent",
            LATENCY,
        )
        self._commit = histogram("sigma_journal_commit_seconds", "One transaction of the journal", SHORT)
        self._gaps = counter("sigma_tick_gaps", "Holes in the sequence of tick batches")
        self._missed = counter("sigma_tick_batches_missed", "Batches in those holes")
        self._last_tick = gauge("sigma_tick_staleness_seconds", "Since the last batch of ticks came")
        self._orders = counter("sigma_orders", "States that orders have reached", ["state"])
        self._fills = counter("sigma_fills", "Fills")
        self._rejections = counter("sigma_rejections", "Orders that risk refused, by its reason", ["reason"])
        self._errors = counter("sigma_venue_errors", "Requests to the venue that failed", ["kind"])
        self._reconciles = counter("sigma_reconciles", "Comparisons of the journal with the venue")
        self._differences = counter("sigma_reconcile_differences", "What those comparisons found")
        self._reconciled = gauge("sigma_reconcile_age_seconds", "Since the last comparison")
        self._lease = gauge("sigma_lease_held", "1 while this process may trade")
        self._token = gauge("sigma_lease_token", "Fencing token of the lease")
        self._ready = gauge("sigma_ready", "1 while reconciled, with a fresh feed, and not halted")
        self._halted = gauge("sigma_halted", "1 while halted")
        self._halts = counter("sigma_halts", "Halts by their cause", ["cause"])
        self._alerts = counter("sigma_alerts", "Alerts by their code", ["code"])
        self._equity = gauge("sigma_equity", "Cash and positions at the last prices", ["currency"])
        self._position = gauge("sigma_position_quantity", "Position, negative when short", ["symbol"])
        self._open = gauge("sigma_open_orders", "Orders that may still fill")
        self._clock = gauge("sigma_venue_clock_offset_seconds", "The venue's clock less ours")
        self._stands = gauge("sigma_decision_loop_age_seconds", "Since the decision loop last advanced")
        self._reasons, self._causes, self._codes, self._symbols = _Few(), _Few(), _Few(), _Few()
        started = time.monotonic()
        self._tick_at = self._reconciled_at = started
        self._last_tick.set_function(lambda: time.monotonic() - self._tick_at)
        self._reconciled.set_function(lambda: time.monotonic() - self._reconciled_at)
        for state in State:
            self._orders.labels(state)
        for kind in ERROR_KINDS:
            self._errors.labels(kind)

    def follow(self, stands_for: Callable[[], float]) -> None:
        """Where to ask how long the decision loop has stood (``Heartbeat.age_s``)."""
        self._stands.set_function(stands_for)

    def batch(self, ticks: int, age: float) -> None:
        """A batch of ``ticks`` ticks was taken up, ``age`` seconds after its interval's end."""
        self._tick_at = time.monotonic()
        self._ticks.inc(ticks)
        self._age.observe(age)

    def step(self, seconds: float) -> None:
        """One tick went through matching, strategy and risk."""
        self._step.observe(seconds)

    def gap(self, batches: int) -> None:
        """``batches`` batches were missing between two that came."""
        self._gaps.inc()
        self._missed.inc(batches)

    def sent(self, seconds: float) -> None:
        """An order was sent, ``seconds`` after the arrival of the tick it was decided on."""
        self._to_order.observe(seconds)

    def commit(self, seconds: float) -> None:
        """The journal stored a change."""
        self._commit.observe(seconds)

    def order(self, state: State) -> None:
        """An order reached a state."""
        self._orders.labels(state).inc()

    def fill(self) -> None:
        """An order was filled, wholly or partly."""
        self._fills.inc()

    def rejection(self, reason: str) -> None:
        """Risk refused an order."""
        self._rejections.labels(self._reasons(reason)).inc()

    def venue_error(self, kind: ErrorKind) -> None:
        """A request to the venue failed."""
        self._errors.labels(kind).inc()

    def reconciled(self, differences: int) -> None:
        """The journal was compared with the venue."""
        self._reconciled_at = time.monotonic()
        self._reconciles.inc()
        self._differences.inc(differences)

    def lease(self, held: bool, token: int) -> None:
        """The lease was taken, kept or lost."""
        self._lease.set(held)
        self._token.set(token)

    def ready(self, is_ready: bool) -> None:
        """Whether the bot may decide now."""
        self._ready.set(is_ready)

    def halted(self, cause: str) -> None:
        """The bot halted: by "command", "strategy", "risk" ..."""
        self._halted.set(1)
        self._halts.labels(self._causes(cause)).inc()

    def resumed(self) -> None:
        """The bot trades again."""
        self._halted.set(0)

    def alert(self, code: str) -> None:
        """A human is to look."""
        self._alerts.labels(self._codes(code)).inc()

    def equity(self, money: Decimal, currency: str) -> None:
        """What the account is worth."""
        self._equity.labels(currency).set(float(money))

    def position(self, symbol: str, quantity: Decimal) -> None:
        """The position in a symbol."""
        self._position.labels(self._symbols(symbol)).set(float(quantity))

    def open_orders(self, number: int) -> None:
        """How many orders may still fill."""
        self._open.set(number)

    def clock_offset(self, seconds: float) -> None:
        """The venue's clock less ours."""
        self._clock.set(seconds)


class FeedMetrics(Metrics):
    """What a feed tells. ``about``: venue, version."""

    def __init__(self, about: dict[str, str]) -> None:
        super().__init__()
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self._info("sigma_feed", "What runs here", about)
        self._messages = counter("sigma_feed_messages", "Messages of the venue: book, trade ...", ["kind"])
        self._ticks = counter("sigma_feed_ticks", "Ticks sent")
        self._batches = counter("sigma_feed_batches", "Batches sent, empty ones too")
        self._delay = histogram(
            "sigma_feed_exchange_delay_seconds",
            "From the venue's time of an event to its arrival",
            LATENCY,
        )
        self._publish = histogram("sigma_feed_publish_seconds", "One batch onto the bus", SHORT)
        self._gaps = counter("sigma_feed_gaps", "Holes in the data of a symbol", ["symbol"])
        self._stale = gauge("sigma_feed_staleness_seconds", "Since a symbol's last message", ["symbol"])
        self._reconnects = counter("sigma_feed_reconnects", "Connections made anew, by reason", ["reason"])
        self._symbols_wanted = gauge("sigma_feed_symbols", "Symbols subscribed to")
        self._recorded = counter("sigma_feed_recorded_ticks", "Ticks written to Parquet")
        self._clock = gauge("sigma_venue_clock_offset_seconds", "The venue's clock less ours")
        self._kinds, self._reasons = _Few(), _Few()
        self._symbols: set[str] = set()

    def message(self, kind: str, delay: float | None = None) -> None:
        """A message of the venue came, ``delay`` seconds after the venue's own time in it."""
        self._messages.labels(self._kinds(kind)).inc()
        if delay is not None:
            self._delay.observe(delay)

    def batch(self, ticks: int, seconds: float) -> None:
        """A batch went onto the bus, which took ``seconds``."""
        self._batches.inc()
        self._ticks.inc(ticks)
        self._publish.observe(seconds)

    def gap(self, symbol: str) -> None:
        """The data of a symbol have a hole."""
        self._gaps.labels(symbol).inc()

    def reconnect(self, reason: str) -> None:
        """A connection was made anew: "cut", "silent", "renewal" ..."""
        self._reconnects.labels(self._reasons(reason)).inc()

    def recorded(self, ticks: int) -> None:
        """Ticks were written to Parquet."""
        self._recorded.inc(ticks)

    def clock_offset(self, seconds: float) -> None:
        """The venue's clock less ours."""
        self._clock.set(seconds)

    def subscribed(self, last_message: dict[str, Callable[[], float]]) -> None:
        """The symbols subscribed to now, each with a function that says how many seconds ago its last message
        came. Symbols dropped since are told no longer."""
        for symbol in self._symbols - last_message.keys():
            self._stale.remove(symbol)
        for symbol, since in last_message.items():
            self._stale.labels(symbol).set_function(since)
        self._symbols = set(last_message)
        self._symbols_wanted.set(len(last_message))
