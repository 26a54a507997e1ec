"""StrategyTester: a manifest, the strategy's code and market data in; one immutable result out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from sigma_bot.backtest.assumptions import assumptions_of, market_ended, warnings_of
from sigma_bot.backtest.ledger import digest_of, equity_of, fills_of, orders_of
from sigma_bot.backtest.schedule import Schedule
from sigma_bot.backtest.session import CompiledSession, InterpretedSession
from sigma_bot.data.market import MarketData, open_market
from sigma_bot.engine.account import mark_to_market
from sigma_bot.engine.broker import Broker, reject_counts
from sigma_bot.engine.step import record_equity
from sigma_bot.engine.types import END_CLOSE, END_KEEP, END_ZERO
from sigma_bot.errors import BadInputError
from sigma_bot.kernel.errors import CannotCompileError
from sigma_bot.model.units import quantity_of
from sigma_bot.results.result import CANCELLED, EXPIRED, REJECTED, BacktestResult, ResultMarket
from sigma_bot.runtime.callbacks import check_called, start, stop
from sigma_bot.runtime.loader import LoadedStrategy, load_strategy
from sigma_bot.runtime.setup import build_broker, quanta
from sigma_bot.spec import Backtest, BacktestSpec, dump_manifest, market_rules, parse_duration
from sigma_bot.times import DAY, HOUR, MINUTE, SECOND, iso

Engine = Literal["auto", "compiled", "interpreted"]
Progress = Callable[[int, int], None]
SAMPLES = 20_000
MARKET_END = {"keep": END_KEEP, "close": END_CLOSE, "zero": END_ZERO}
STEPS = (SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, DAY)


@dataclass
class Clock:
    """Seconds spent by part of the run."""

    seconds: dict[str, float] = field(
        default_factory=lambda: {"load": 0.0, "compile": 0.0, "run": 0.0, "report": 0.0}
    )
    started: float = field(default_factory=time.perf_counter)

    def lap(self, part: str) -> None:
        """Book the time since the last lap."""
        now = time.perf_counter()
        self.seconds[part] += now - self.started
        self.started = now


def run_backtest(
    manifest: Backtest,
    base: Path,
    engine: Engine = "auto",
    progress: Progress = lambda _done, _total: None,
) -> BacktestResult:
    """Run a backtest. ``base`` is the folder that relative paths start at.

    Raises BadInputError for what the user wrote wrong, CannotCompileError when ``engine="compiled"`` cannot
    be had, and StrategyError when the strategy raised.
    """
    clock = Clock()
    spec = manifest.spec
    loaded, market = prepare(spec, base)
    broker = broker_for(spec, market, sampling(spec, market))
    clock.lap("load")
    session, reason = open_session(loaded, broker, market.kind, engine)
    clock.lap("compile")
    feed(session, market, progress, clock, MARKET_END[spec.execution.market_end])
    strategy, after = session.finish()
    record_equity(after, mark_to_market(after))  # with what the last row's decisions filled at once
    stop(strategy, after)
    clock.lap("run")
    return result_of(manifest, loaded, market, session, after, reason, clock)


def prepare(spec: BacktestSpec, base: Path) -> tuple[LoadedStrategy, MarketData]:
    """Strategy and data, opened and found to fit each other and the account. Raises BadInputError."""
    loaded = load_strategy(spec.strategy, base)
    market = open_market(spec, base)
    check_called(loaded.name, loaded.cls, market.kind, spec.timeframes)
    if market.funding is not None and spec.account.type != "margin":
        raise BadInputError(
            'spec.data.funding: only margin accounts pay funding; set "type: margin" in spec.account'
        )
    return loaded, market


def broker_for(spec: BacktestSpec, market: MarketData, sample_every: int) -> Broker:
    """The broker before the first row of these data."""
    broker = build_broker(spec, market.kind, market.timeframe)
    broker.sample_every = sample_every
    broker.risk.trading_from = market.start + spec.warmup.ns
    broker.has_volume = int(market.has_volume)
    if not market.has_volume:
        broker.volume_limit = 0.0
    return broker


def sampling(spec: BacktestSpec, market: MarketData) -> int:
    """Distance of equity samples, ns: as asked, else the finest step that keeps the curve within 20,000
    points."""
    if spec.report.sampling != "auto":
        return parse_duration(spec.report.sampling)
    span = max(market.end - market.start, 1)
    finest = max(market.timeframe, SECOND)
    return next((s for s in STEPS if s >= finest and span // s <= SAMPLES), max(DAY, finest))


def open_session(
    loaded: LoadedStrategy, broker: Broker, kind: str, engine: Engine
) -> tuple[CompiledSession | InterpretedSession, str]:
    """A session in the execution that was asked for, and why it is interpreted ("" when compiled or asked
    for)."""
    start(loaded.instance)
    if engine == "interpreted":
        return InterpretedSession(loaded.instance, broker, kind), ""
    try:
        from sigma_bot.backtest.compiled import entry_for

        entry = entry_for(loaded.cls, kind)
    except CannotCompileError as error:
        if engine == "compiled":
            raise
        return InterpretedSession(loaded.instance, broker, kind), str(error)
    return CompiledSession(loaded.instance, broker, kind, entry.call), ""


def feed(
    session: CompiledSession | InterpretedSession,
    market: MarketData,
    progress: Progress,
    clock: Clock,
    market_end: int = END_KEEP,
) -> None:
    """Run every chunk; the time spent waiting for data counts as loading. ``market_end`` is what becomes of a
    position whose market's data end."""
    done = 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        progress(done, market.rows)

    schedule = Schedule(market)
    for columns in market.chunks():
        clock.lap("load")
        for happenings, rows in schedule.parts(columns):
            for happening in happenings:
                happening.apply(session, market_end)
            session.feed(rows, advance)
        clock.lap("run")
    clock.lap("load")


def manifest_digest(manifest: Backtest, loaded: LoadedStrategy) -> str:
    """sha256 of what the manifest decides. Where code and data lie, what the report is called and where it
    runs decide nothing."""
    spec = dump_manifest(manifest)["spec"]
    for block, names in (("strategy", ("file", "code")), ("report", ("html",))):
        for name in names:
            spec[block].pop(name, None)
    spec["strategy"] |= {"class": loaded.cls.__name__, "params": loaded.params}
    for name in ("data", "job", "suspend", "sweep"):
        del spec[name]
    if spec["execution"]["marketEnd"] == "keep":
        del spec["execution"]["marketEnd"]  # as it was before there was a choice
    for i, market in enumerate(manifest.spec.markets):
        spec["markets"][i] = market_rules(market).describe()
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def result_of(
    manifest: Backtest,
    loaded: LoadedStrategy,
    market: MarketData,
    session: CompiledSession | InterpretedSession,
    broker: Broker,
    reason: str,
    clock: Clock,
) -> BacktestResult:
    """Everything the run left, put in order."""
    spec = manifest.spec
    compiled = isinstance(session, CompiledSession) and not session.gave_up
    if isinstance(session, CompiledSession) and session.gave_up:
        reason = session.gave_up
    events = session.recorder.all_events()
    orders, fills = orders_of(events, broker), fills_of(events)
    final = final_of(broker)
    digests = {
        "code": loaded.digest,
        "manifest": manifest_digest(manifest, loaded),
        "data": market.digest(),
        "libm": ", ".join(loaded.libm),
    }
    counts = {
        "orders": broker.n_orders,
        "fills": broker.n_fills,
        "rejected": broker.n_rejected,
        "cancelled": int((orders["status"] == CANCELLED).sum()),
        "expired": int((orders["status"] == EXPIRED).sum()),
        "liquidations": broker.n_liquidations,
        "ambiguous_bars": broker.n_ambiguous,
        "ended_markets": sum(lots != 0 for _, lots in session.ended),
    }
    kept = int((orders["status"] == REJECTED).sum())
    lot_sizes = lots_used(broker)
    warnings = [*market.warnings, *warnings_of(spec, market.kind, market.has_volume, counts)]
    warnings += [
        market_ended(spec, market.symbols[symbol], iso(market.ends[symbol]), lots * lot_sizes[symbol])
        for symbol, lots in session.ended
        if lots != 0
    ]
    if kept < broker.n_rejected:
        warnings.append(
            f"of {broker.n_rejected} rejected orders the first {kept} are listed; all are counted by reason"
        )
    if loaded.libm:
        warnings.append(
            f"the strategy uses {', '.join(loaded.libm)}: "
            "the last bit of these depends on the C library and the processor"
        )
    equity = equity_of(session.recorder.all_samples(), broker)
    clock.lap("run")
    return BacktestResult(
        name=manifest.metadata.name,
        digest=digest_of(digests, orders, fills, final),
        digests=digests,
        engine="compiled" if compiled else "interpreted",
        engine_reason=reason,
        strategy=loaded.cls.__name__,
        params=loaded.params,
        kind=market.kind,
        timeframe=market.timeframe,
        markets=tuple(
            ResultMarket(r.symbol, r.tick_size, lot)
            for r, lot in zip(map(market_rules, spec.markets), lot_sizes, strict=True)
        ),
        currency=spec.account.currency,
        precision=spec.account.precision,
        initial_cash=quanta(spec.account.cash, spec.account.precision),
        start=market.start,
        end=market.end,
        events=broker.row + 1,
        seconds=clock.seconds,
        orders=orders,
        fills=fills,
        equity=equity,
        counts=counts,
        rejections=reject_counts(broker),
        final=final,
        assumptions=assumptions_of(spec, market.kind),
        warnings=warnings,
        manifest=dump_manifest(manifest),
    )


def lots_used(broker: Broker) -> list[Decimal]:
    """What a lot of each market is: as the manifest says, or as its first price chose it."""
    return [quantity_of(market, 1) for market in broker.markets[: broker.n_markets]]


def final_of(b: Broker) -> dict[str, Any]:
    """The account after the last row: money in quanta, equity and drawdown as the engine's floats."""
    return {
        "cash": b.cash_quanta,
        "fees": b.fee_quanta,
        "funding": b.funding_quanta,
        "realized": sum(s.realized for s in b.markets[: b.n_markets]),
        "positions": [s.lots for s in b.markets[: b.n_markets]],
        "equity": b.equity,
        "max_drawdown": b.max_drawdown,
        "peak": b.peak,
    }
