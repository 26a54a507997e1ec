"""One backtest made ready to be run many times: data in memory, strategy compiled once, cheap runs.

A run copies the broker's first state instead of building it, builds the strategy as ordinary Python (its
``on_start`` decides what the parameters mean), and reads back only what the result needs. Columns and
compiled code are only read, so forked processes share them.
"""

from __future__ import annotations

import math
import mmap
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sigma_bot.backtest.result import BacktestResult
from sigma_bot.backtest.session import (
    CHECKPOINT,
    Columns,
    CompiledSession,
    InterpretedSession,
    Recorder,
)
from sigma_bot.backtest.setup import build_broker
from sigma_bot.backtest.tester import Clock, Engine, check_callbacks, result_of, sampling
from sigma_bot.data.market import MarketData, open_market
from sigma_bot.engine.broker import Broker
from sigma_bot.engine.types import DAY, HOUR, MINUTE, Bar, Tick
from sigma_bot.errors import BadInputError, StrategyError
from sigma_bot.kernel.cannot import CannotCompileError
from sigma_bot.kernel.struct import dtype_of, record
from sigma_bot.spec import Backtest, BacktestSpec
from sigma_bot.strategy import Strategy
from sigma_bot.strategy_file import LoadedStrategy, Value, check_params, load_strategy

BYTES_A_ROW = {"tick": 84, "bar": 60}
FIGURES = (
    "ts", "row", "n_active", "n_markets", "n_orders", "n_fills", "n_rejected", "n_ambiguous",
    "n_liquidations", "cash_quanta", "fee_quanta", "funding_quanta", "equity", "peak", "max_drawdown",
)  # fmt: skip


class InvalidParamsError(Exception):
    """The parameters are refused, by bounds or by a ValueError of ``on_start``; the message says why."""


class StoppedError(Exception):
    """The end was asked for."""


class LightSession(CompiledSession):
    """A compiled run that starts from a copy of the broker's first state and takes no checkpoints."""

    def __init__(
        self, replay: Replay, strategy: Strategy, recorder: Recorder, stop: mmap.mmap | None
    ) -> None:
        self.entry, self.kind, self.cls = replay.entry, replay.market.kind, type(strategy)
        self.strategy, self.broker = record(strategy), replay.first_state()
        self.row = np.zeros(1, dtype_of(Tick if self.kind == "tick" else Bar))
        self.columns = replay.columns
        self.recorder, self.stop = recorder, stop

    def run(self, columns: Columns) -> bool:
        """Run one chunk. False when the strategy raised."""
        arrays = [columns[c] for c in self.columns]
        total, done = len(arrays[0]), 0
        addresses = [a.ctypes.data for a in (self.broker, self.row, self.strategy)]
        while done < total:
            if self.stop is not None and self.stop[0]:
                raise StoppedError
            done = self.entry(*addresses, *arrays, done, min(done + CHECKPOINT, total))
            if done < 0:
                return False
            self.drain()
        return True


@dataclass
class Replay:
    """What all runs share. ``chunks`` holds the market's columns; ``reason`` says why runs are interpreted
    ("" when compiled or asked for)."""

    manifest: Backtest
    loaded: LoadedStrategy
    market: MarketData
    chunks: list[Columns]
    sample_every: int
    compiled: bool
    reason: str = ""

    def __post_init__(self) -> None:
        from sigma_bot.engine.loops import BAR_COLUMNS, TICK_COLUMNS

        self.columns = TICK_COLUMNS if self.market.kind == "tick" else BAR_COLUMNS
        if self.compiled:
            from sigma_bot.backtest.compiled import entry_for

            self.entry = entry_for(self.loaded.cls, self.market.kind).call
            template = record(self.new_broker())
            # the queues come last and start empty: what lies before them is all there is to copy
            self.head = int(template.dtype.fields["samples"][1])
            self.template = template.view(np.uint8)[: self.head].copy()

    def new_broker(self) -> Broker:
        """The broker before the first row."""
        spec, market = self.manifest.spec, self.market
        b = build_broker(spec, market.kind, market.timeframe)
        b.sample_every = self.sample_every
        b.risk.trading_from = market.start + spec.warmup.ns
        b.has_volume = int(market.has_volume)
        if not market.has_volume:
            b.volume_limit = 0.0
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
            instance.on_start()
        except (ValueError, BadInputError) as error:
            raise InvalidParamsError(str(error)) from error
        except Exception as error:
            raise started_badly(error) from error
        return instance

    def trial(self, params: Mapping[str, Value], stop: mmap.mmap | None = None) -> BacktestResult:
        """The result of a run with these parameters, the rest as in the manifest. Its digest is that of
        ``sigma backtest --set``; only equity is sampled more coarsely."""
        strategy = self.strategy(params)
        loaded = replace(self.loaded, instance=strategy, params={**self.loaded.params, **params})
        vars(loaded)["libm"] = self.loaded.libm  # cached: it belongs to the code, not to the parameters
        session = self.run(strategy, Recorder(), self.chunks, stop)
        return result_of(self.manifest, loaded, self.market, session, stopped(session), self.reason, Clock())

    def run(
        self,
        strategy: Strategy,
        recorder: Recorder,
        chunks: Sequence[Columns],
        stop: mmap.mmap | None = None,
        trading_from: int | None = None,
    ) -> LightSession | InterpretedSession:
        """Run a started strategy over ``chunks``. ``trading_from`` (ns) replaces the end of the warm-up."""
        if not self.compiled:
            return self.interpret(strategy, recorder, chunks, trading_from)
        session = LightSession(self, strategy, recorder, stop)
        if trading_from is not None:
            session.broker[0]["risk"]["trading_from"] = trading_from
        before = session.strategy.copy()
        for columns in chunks:
            if not session.run(columns):
                self.explain(before, chunks, trading_from)
        return session

    def interpret(
        self, strategy: Strategy, recorder: Recorder, chunks: Sequence[Columns], trading_from: int | None
    ) -> InterpretedSession:
        """``run`` as ordinary Python."""
        broker = self.new_broker()
        if trading_from is not None:
            broker.risk.trading_from = trading_from
        session = InterpretedSession(strategy, broker, self.market.kind)
        session.recorder = recorder
        for columns in chunks:
            session.feed(columns, lambda _: None)
        return session

    def explain(self, before: NDArray[np.void], chunks: Sequence[Columns], trading_from: int | None) -> None:
        """Run once more with checkpoints: the error comes with the user's line and the market's time."""
        session = CompiledSession(self.loaded.cls(), self.new_broker(), self.market.kind, self.entry)
        session.strategy = before.copy()
        if trading_from is not None:
            session.broker[0]["risk"]["trading_from"] = trading_from
        for columns in chunks:
            session.feed(columns, lambda _: None)
        raise RuntimeError(f"{self.loaded.cls.__name__} raised in one run and not in its repetition")


def open_replay(manifest: Backtest, base: Path, engine: Engine = "auto", coarse: bool = True) -> Replay:
    """Load strategy and data, compile. Raises what ``run_backtest`` raises, and BadInputError when the data
    do not fit into memory. ``coarse`` samples equity only as often as the ratios need."""
    spec = manifest.spec
    loaded = load_strategy(spec.strategy, base)
    market = open_market(spec, base)
    check_callbacks(loaded, market)
    check_memory(market)
    chunks = list(market.chunks())
    every = coarse_sampling(spec, market) if coarse else sampling(spec, market)
    if engine == "interpreted":
        return Replay(manifest, loaded, market, chunks, every, compiled=False)
    try:
        return Replay(manifest, loaded, market, chunks, every, compiled=True)
    except CannotCompileError as error:
        if engine == "compiled":
            raise
        return Replay(manifest, loaded, market, chunks, every, compiled=False, reason=str(error))


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


def stopped(session: LightSession | InterpretedSession) -> Broker:
    """The account after the last row, and after ``on_stop`` where the strategy has one."""
    cls = type(session.strategy) if isinstance(session, InterpretedSession) else session.cls
    if cls.on_stop is Strategy.on_stop and isinstance(session, LightSession):
        return account_of(session.broker[0])
    strategy, broker = session.finish()
    strategy.on_stop(broker)
    return broker


def account_of(state: np.void) -> Broker:
    """What a result reads of the broker, from its record: the whole object would take as long as the run."""
    part: dict[str, Any] = {name: state[name].item() for name in FIGURES}
    markets = state["markets"][: part["n_markets"]]
    names = ("lots", "qty", "mid", "first", "realized")
    part["markets"] = [SimpleNamespace(**{n: m[n].item() for n in names}) for m in markets]
    part["active"] = state["active"][: part["n_active"]].tolist()
    orders = state["orders"]
    part["orders"] = {
        k: SimpleNamespace(id=orders[k]["id"].item(), state=orders[k]["state"].item()) for k in part["active"]
    }
    part["rejected"] = state["rejected"].tolist()
    return cast(Broker, SimpleNamespace(**part))


def started_badly(error: Exception) -> StrategyError:
    """An error of the user's ``on_start`` that does not speak about parameters."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    where = "\n".join(f"  {f.filename}:{f.lineno} in {f.name}\n    {f.line}" for f in frames)
    return StrategyError(f"the strategy raised {type(error).__name__} in on_start: {error}\n{where}")
