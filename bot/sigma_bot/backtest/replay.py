"""One backtest made ready to be run many times: data in memory, strategy compiled once, cheap runs.

A run copies the broker's first state instead of building it, builds the strategy as ordinary Python (its
``on_start`` decides what the parameters mean), and reads back only what the result needs. Columns and
compiled code are only read, so forked processes share them.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sigma_bot.backtest.session import (
    CHECKPOINT,
    Columns,
    CompiledSession,
    InterpretedSession,
    Recorder,
)
from sigma_bot.backtest.tester import (
    MARKET_END,
    Clock,
    Engine,
    broker_for,
    feed,
    prepare,
    result_of,
    sampling,
)
from sigma_bot.data.market import MarketData
from sigma_bot.engine.account import mark_to_market
from sigma_bot.engine.broker import Broker
from sigma_bot.engine.loops import BAR_COLUMNS, TICK_COLUMNS
from sigma_bot.engine.step import record_equity
from sigma_bot.engine.types import Bar, Tick
from sigma_bot.errors import BadInputError, StrategyError
from sigma_bot.kernel.errors import CannotCompileError
from sigma_bot.kernel.struct import dtype_of, record
from sigma_bot.results.result import BacktestResult
from sigma_bot.runtime.callbacks import start, stop
from sigma_bot.runtime.loader import LoadedStrategy, Value, check_params
from sigma_bot.spec import Backtest, BacktestSpec
from sigma_bot.strategy import Strategy
from sigma_bot.times import DAY, HOUR, MINUTE

BYTES_A_ROW = {"tick": 84, "bar": 60}
FIGURES = (
    "ts", "row", "n_active", "n_markets", "n_orders", "n_fills", "n_rejected", "n_ambiguous",
    "n_liquidations", "cash_quanta", "fee_quanta", "funding_quanta", "cash", "scale", "equity", "peak",
    "max_drawdown",
)  # fmt: skip


class InvalidParamsError(Exception):
    """The parameters are refused, by bounds or by a ValueError of ``on_start``; the message says why."""


class StoppedError(Exception):
    """The end was asked for."""


class _NeedsCheckpointsError(Exception):
    """The compiled loop gave up on a row: only a run with checkpoints can say why, or go on."""


class MemoryMarket:
    """Market data whose chunks are in memory and can be read again."""

    def __init__(self, source: MarketData, chunks: list[Columns]) -> None:
        self.kind, self.symbols, self.timeframe = source.kind, source.symbols, source.timeframe
        self.start, self.end, self.has_volume = source.start, source.end, source.has_volume
        self.warnings, self.funding, self.ends = source.warnings, source.funding, source.ends
        self.parts = chunks
        self.rows = sum(len(chunk["ts"]) for chunk in chunks)
        self.content = source.digest()

    def chunks(self) -> Iterator[Columns]:
        """See MarketData."""
        return iter(self.parts)

    def digest(self) -> str:
        """See MarketData."""
        return self.content

    def part(self, first: int | None, last: int | None) -> MemoryMarket:
        """The rows between two times (ns, inclusive), without a copy. The rest stays that of the whole."""
        clock = "end" if self.kind == "bar" else "ts"
        parts = []
        for chunk in self.parts:
            lo = 0 if first is None else int(np.searchsorted(chunk[clock], first, "left"))
            hi = len(chunk[clock]) if last is None else int(np.searchsorted(chunk[clock], last, "right"))
            if lo < hi:
                parts.append({name: values[lo:hi] for name, values in chunk.items()})
        return MemoryMarket(self, parts)


class LightSession(CompiledSession):
    """A compiled run that starts from a copy of the broker's first state and takes no checkpoints."""

    def __init__(
        self, replay: Replay, strategy: Strategy, recorder: Recorder, stop: mmap.mmap | None
    ) -> None:
        self.entry, self.kind, self.cls = replay.entry, replay.market.kind, type(strategy)
        self.strategy, self.broker = record(strategy), replay.first_state()
        self.row = np.zeros(1, dtype_of(Tick if self.kind == "tick" else Bar))
        self.columns = TICK_COLUMNS if self.kind == "tick" else BAR_COLUMNS
        self.recorder, self.stop = recorder, stop
        self.funding, self.fallback, self.gave_up, self.ended = None, None, "", []

    def feed(self, columns: Columns, progress: Callable[[int], None]) -> None:
        """Run one chunk of rows."""
        arrays = [columns[c] for c in self.columns]
        total, done = len(arrays[0]), 0
        addresses = [a.ctypes.data for a in (self.broker, self.row, self.strategy)]
        while done < total:
            if self.stop is not None and self.stop[0]:
                raise StoppedError
            done = self.entry(*addresses, *arrays, done, min(done + CHECKPOINT, total))
            if done < 0:
                raise _NeedsCheckpointsError
            self.drain()
        progress(total)

    def finish(self) -> tuple[Strategy, Broker]:
        """Strategy and broker as they stand after the last row."""
        self.objects = self.cls(), Broker()
        return super().finish()


@dataclass
class Replay:
    """What all runs share. ``reason`` says why runs are interpreted ("" when compiled or asked for)."""

    manifest: Backtest
    loaded: LoadedStrategy
    market: MemoryMarket
    sample_every: int
    compiled: bool
    reason: str = ""

    def __post_init__(self) -> None:
        if self.compiled:
            from sigma_bot.backtest.compiled import entry_for

            self.entry = entry_for(self.loaded.cls, self.market.kind).call
            template = record(self.new_broker())
            # the queues come last and start empty: what lies before them is all there is to copy
            self.head = int(template.dtype.fields["samples"][1])
            self.template = template.view(np.uint8)[: self.head].copy()

    def new_broker(self, trading_from: int | None = None) -> Broker:
        """The broker before the first row."""
        b = broker_for(self.manifest.spec, self.market, self.sample_every)
        if trading_from is not None:
            b.risk.trading_from = trading_from
        return b

    def first_state(self) -> NDArray[np.void]:
        """The record of the broker before the first row."""
        state = np.zeros(1, dtype_of(Broker))
        state.view(np.uint8)[: self.head] = self.template
        return state

    def strategy(self, params: Mapping[str, Value]) -> Strategy:
        """A strategy with these parameters, started. Raises InvalidParamsError when they are refused."""
        cls = self.loaded.cls
        try:
            check_params(cls, params)
        except BadInputError as error:
            raise InvalidParamsError(str(error).removeprefix("spec.strategy.params.")) from error
        instance = cls(**{**self.loaded.params, **params})
        try:
            start(instance)
        except BadInputError as error:
            raise InvalidParamsError(str(error)) from error
        except StrategyError as error:
            if isinstance(error.__cause__, ValueError):
                raise InvalidParamsError(str(error.__cause__)) from error
            raise
        return instance

    def trial(self, params: Mapping[str, Value], stop: mmap.mmap | None = None) -> BacktestResult:
        """The result of a run with these parameters, the rest as in the manifest. Its digest is that of
        ``sigma backtest --set``; only equity is sampled more coarsely."""
        strategy = self.strategy(params)
        loaded = replace(self.loaded, instance=strategy, params={**self.loaded.params, **params})
        vars(loaded)["libm"] = self.loaded.libm  # cached: it belongs to the code, not to the parameters
        session = self.run(strategy, Recorder, stop=stop)
        after = ended(session)
        return result_of(self.manifest, loaded, self.market, session, after, self.reason, Clock())

    def run(
        self,
        strategy: Strategy,
        recorder: Callable[[], Recorder],
        market: MemoryMarket | None = None,
        trading_from: int | None = None,
        stop: mmap.mmap | None = None,
    ) -> CompiledSession | InterpretedSession:
        """Run a started strategy. ``market`` replaces the data, ``trading_from`` (ns) the warm-up's end."""
        market = self.market if market is None else market
        market_end = MARKET_END[self.manifest.spec.execution.market_end]
        session: CompiledSession | InterpretedSession
        if self.compiled:
            session = LightSession(self, strategy, recorder(), stop)
            if trading_from is not None:
                session.broker[0]["risk"]["trading_from"] = trading_from
            try:
                feed(session, market, _silent, Clock(), market_end)
            except _NeedsCheckpointsError:
                session = CompiledSession(strategy, self.new_broker(trading_from), market.kind, self.entry)
            else:
                return session
        else:
            session = InterpretedSession(strategy, self.new_broker(trading_from), market.kind)
        session.recorder = recorder()
        feed(session, market, _silent, Clock(), market_end)
        return session


def _silent(_done: int, _total: int) -> None:
    """No progress to show inside a run."""


def open_replay(manifest: Backtest, base: Path, engine: Engine = "auto") -> Replay:
    """Load strategy and data, compile. Raises what ``run_backtest`` raises, and BadInputError when the data
    do not fit into memory."""
    spec = manifest.spec
    loaded, source = prepare(spec, base)
    check_memory(source)
    market = MemoryMarket(source, list(source.chunks()))
    every = coarse_sampling(spec, market)
    if engine == "interpreted":
        return Replay(manifest, loaded, market, every, compiled=False)
    try:
        return Replay(manifest, loaded, market, every, compiled=True)
    except CannotCompileError as error:
        if engine == "compiled":
            raise
        return Replay(manifest, loaded, market, every, compiled=False, reason=str(error))


def check_memory(market: MarketData) -> None:
    """Refuse data that would not fit: better now than by the system's killer later."""
    needed = market.rows * BYTES_A_ROW[market.kind]
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > 2 * free:
        raise BadInputError(
            f"the data need {needed / 1e9:.1f} GB of memory at once, {free / 1e9:.1f} GB are free; "
            "take a shorter period with --from and --to, or bars in place of ticks"
        )


def coarse_sampling(spec: BacktestSpec, market: MarketData) -> int:
    """Distance of equity samples, ns: as asked, else the length of the periods that returns are taken over
    (``report.returns``), so that the ratios are those of a fine curve."""
    if spec.report.sampling != "auto":
        return sampling(spec, market)
    span = market.end - market.start
    step = DAY if span >= 20 * DAY else HOUR if span >= 20 * HOUR else MINUTE
    # days begin at the offset's midnight, samples lie on multiples of their distance from midnight UTC
    return max(math.gcd(step, spec.risk.day_start.ns), market.timeframe)


def ended(session: CompiledSession | InterpretedSession) -> Broker:
    """The account after the last row, and after ``on_stop`` where the strategy has one."""
    if isinstance(session, LightSession) and session.cls.on_stop is Strategy.on_stop:
        after = account_of(session.broker[0])
        record_equity(after, mark_to_market(after))
        return after
    strategy, after = session.finish()
    record_equity(after, mark_to_market(after))  # with what the last row's decisions filled at once
    stop(strategy, after)
    return after


def account_of(state: np.void) -> Broker:
    """What a result reads of the broker, from its record: the whole object would take as long as the run."""
    part: dict[str, Any] = {name: state[name].item() for name in FIGURES}
    markets = state["markets"][: part["n_markets"]]
    names = ("lots", "qty", "mid", "first_price", "realized", "lot_num", "lot_den", "unit_num", "unit_den")
    part["markets"] = [SimpleNamespace(**{n: m[n].item() for n in names}) for m in markets]
    part["active"] = state["active"][: part["n_active"]].tolist()
    orders = state["orders"]
    part["orders"] = {
        k: SimpleNamespace(id=orders[k]["id"].item(), state=orders[k]["state"].item()) for k in part["active"]
    }
    part["rejected"] = state["rejected"].tolist()
    return cast(Broker, SimpleNamespace(**part))
