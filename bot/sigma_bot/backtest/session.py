"""One run of a strategy over rows: compiled or interpreted, chunk by chunk, with its queues drained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bot.backtest.rows import copied, joined, pick
from sigma_bot.engine.broker import Broker
from sigma_bot.engine.loops import (
    BAR_COLUMNS,
    TICK_COLUMNS,
    fund_loop,
    interpret_bars,
    interpret_ticks,
    market_ends,
)
from sigma_bot.engine.types import E_REJECT, NEVER, Bar, Event, Sample, Tick
from sigma_bot.kernel.struct import dtype_of, from_record, record
from sigma_bot.runtime.callbacks import RAISES, strategy_error
from sigma_bot.strategy import Strategy

Columns = dict[str, NDArray[Any]]
BATCH = 16_384
CHECKPOINT = 131_072
KEPT_REJECTIONS = 100_000


@dataclass
class Recorder:
    """Keeps what the queues held. Beyond 100,000 rejections only their number is kept
    (``Broker.rejected``)."""

    events: list[NDArray[np.void]] = field(default_factory=list)
    samples: list[NDArray[np.void]] = field(default_factory=list)
    rejections: int = 0

    def take(self, events: NDArray[np.void], samples: NDArray[np.void]) -> None:
        """Copy the queues' contents."""
        if len(events):
            refused = events["kind"] == E_REJECT
            before = self.rejections
            self.rejections += int(np.count_nonzero(refused))
            if self.rejections > KEPT_REJECTIONS:
                events = pick(events, ~(refused & (before + np.cumsum(refused) > KEPT_REJECTIONS)))
            self.events.append(copied(events))
        if len(samples):
            self.samples.append(copied(samples))

    def mark(self) -> tuple[int, int, int]:
        """A place to return to."""
        return len(self.events), len(self.samples), self.rejections

    def back_to(self, mark: tuple[int, int, int]) -> None:
        """Forget what was taken since."""
        events, samples, self.rejections = mark
        del self.events[events:], self.samples[samples:]

    def all_events(self) -> NDArray[np.void]:
        """Every kept event, in order."""
        return joined(self.events, dtype_of(Event))

    def all_samples(self) -> NDArray[np.void]:
        """Every equity sample, in order."""
        return joined(self.samples, dtype_of(Sample))


class InterpretedSession:
    """Runs the engine as ordinary Python objects, as SIM and LIVE do."""

    def __init__(self, strategy: Strategy, broker: Broker, kind: str) -> None:
        self.strategy, self.broker = strategy, broker
        self.recorder = Recorder()
        self.columns = TICK_COLUMNS if kind == "tick" else BAR_COLUMNS
        self.loop: Callable[..., int] = interpret_ticks if kind == "tick" else interpret_bars
        self.row: Tick | Bar = Tick() if kind == "tick" else Bar()
        self.ended: list[tuple[int, int]] = []  # symbols whose data ended, and the lots held then

    def feed(self, columns: Columns, progress: Callable[[int], None]) -> None:
        """Run one chunk of rows."""
        total = len(columns["ts"])
        for lo in range(0, total, BATCH):
            part = [columns[c][lo : lo + BATCH].tolist() for c in self.columns]
            size = len(part[0])
            rows: Iterator[tuple[Any, ...]] = zip(*part, strict=True)
            done = 0
            while done < size:
                try:
                    done = self.loop(self.broker, self.row, self.strategy, rows, done)
                except RAISES as error:
                    raise strategy_error(error, self.broker) from error
                self.drain()
            progress(size)

    def fund(self, symbol: int, rate: float, ts: int, inside: bool) -> None:
        """Exchange funding at ``ts``: between two rows, or ``inside`` the next one, which is the symbol's
        then."""
        fund_loop(self.broker, symbol, rate, ts, int(inside))
        self.drain()

    def end_market(self, symbol: int, rule: int) -> int:
        """The last row of a symbol has been run. Returns the lots that were held."""
        return market_ends(self.broker, symbol, rule)  # type: ignore[no-any-return]

    def drain(self) -> None:
        """Empty the event and sample queues."""
        b = self.broker
        if b.n_events or b.n_samples:
            self.recorder.take(
                rows_of(Event, b.events[: b.n_events]), rows_of(Sample, b.samples[: b.n_samples])
            )
            b.n_events = b.n_samples = b.delivered = 0

    def finish(self) -> tuple[Strategy, Broker]:
        """Strategy and broker as they stand after the last row."""
        return self.strategy, self.broker


def rows_of(cls: type, objects: list[Any]) -> NDArray[np.void]:
    """Structs as a structured array."""
    values = attrgetter(*cls.__fields__)  # type: ignore[attr-defined]
    return np.array([values(o) for o in objects], dtype_of(cls))


class CompiledSession:
    """Runs the compiled loop over records.

    ``entry(broker, row, strategy, *columns, first, end)`` takes addresses and returns the next index, or a
    negative number when Python would have raised, or when a value left what compiled code can hold (an
    integer beyond 64 bits). Then the rows since the last checkpoint run interpreted: either the strategy's
    error comes with its real traceback, or the run goes on interpreted and ``gave_up`` says so.
    """

    def __init__(self, strategy: Strategy, broker: Broker, kind: str, entry: Callable[..., int]) -> None:
        self.entry, self.kind = entry, kind
        self.funding: Callable[..., int] | None = None
        self.cls = type(strategy)
        self.objects = strategy, broker
        self.strategy, self.broker = record(strategy), record(broker)
        self.row = np.zeros(1, dtype_of(Tick if kind == "tick" else Bar))
        self.columns = TICK_COLUMNS if kind == "tick" else BAR_COLUMNS
        self.recorder = Recorder()
        self.fallback: InterpretedSession | None = None
        self.gave_up = ""
        self.ended: list[tuple[int, int]] = []  # symbols whose data ended, and the lots held then

    def feed(self, columns: Columns, progress: Callable[[int], None]) -> None:
        """Run one chunk of rows, with a checkpoint before each part so that an error can be replayed."""
        if self.fallback is not None:
            self.fallback.feed(columns, progress)
            return
        arrays = [columns[c] for c in self.columns]
        total = len(arrays[0])
        for lo in range(0, total, CHECKPOINT):
            hi = min(lo + CHECKPOINT, total)
            before = self.state().copy(), self.strategy.copy(), self.recorder.mark()
            done = lo
            while done < hi:
                done = self.entry(
                    self.broker.ctypes.data,
                    self.row.ctypes.data,
                    self.strategy.ctypes.data,
                    *arrays,
                    done,
                    hi,
                )
                if done < 0:
                    rest = {c: columns[c][lo:] for c in self.columns}
                    self.replay(*before).feed(rest, progress)
                    return
                self.drain()
            progress(hi - lo)

    def fund(self, symbol: int, rate: float, ts: int, inside: bool) -> None:
        """Exchange funding at ``ts``: between two rows, or ``inside`` the next one, which is the symbol's
        then."""
        from sigma_bot.backtest.compiled import funding_entry

        if self.fallback is not None:
            self.fallback.fund(symbol, rate, ts, inside)
            return
        if self.funding is None:
            self.funding = funding_entry().call
        self.funding(self.broker.ctypes.data, symbol, rate, ts, int(inside))
        self.drain()

    def end_market(self, symbol: int, rule: int) -> int:
        """The last row of a symbol has been run. Returns the lots that were held."""
        if self.fallback is not None:
            return self.fallback.end_market(symbol, rule)
        b = self.broker[0]
        b["ended"][symbol] = rule
        b["n_ending"] += 1
        b["next_wake"] = -NEVER
        return int(b["markets"][symbol]["lots"])

    def drain(self) -> None:
        """Empty the event and sample queues."""
        b = self.broker[0]
        if b["n_events"] or b["n_samples"]:
            self.recorder.take(b["events"][: b["n_events"]], b["samples"][: b["n_samples"]])
            b["n_events"] = b["n_samples"] = b["delivered"] = 0

    def state(self) -> NDArray[np.uint8]:
        """The broker's bytes before its queues, which stand last and are empty at a checkpoint."""
        end: int = dtype_of(Broker).fields["samples"][1]
        state: NDArray[np.uint8] = self.broker.view(np.uint8)[:end]
        return state

    def replay(
        self, state: NDArray[np.uint8], strategy: NDArray[np.void], mark: tuple[int, int, int]
    ) -> InterpretedSession:
        """Go back to a checkpoint and on from there interpreted."""
        row = int(self.broker["row"][0])
        self.gave_up = (
            f"from row {row} on: a value left what compiled code can hold, such as a 64-bit integer"
        )
        self.recorder.back_to(mark)
        self.state()[:] = state
        from_record(self.broker[0], self.objects[1])
        from_record(strategy[0], self.objects[0])
        self.fallback = InterpretedSession(*self.objects, self.kind)
        self.fallback.recorder = self.recorder
        return self.fallback

    def finish(self) -> tuple[Strategy, Broker]:
        """Strategy and broker as they stand after the last row."""
        strategy, broker = self.objects
        if self.fallback is not None:
            return self.objects
        from_record(self.broker[0], broker)
        from_record(self.strategy[0], strategy)
        return strategy, broker
