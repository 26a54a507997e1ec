"""A SIM run once more, as a backtest: the ticks the bot saw, the manifest it ran, the controls it was given.

Compiled where the strategy compiles, so the machine code that backtests is held against the objects that
traded. A halt, a resume and a flatten take effect after the tick they took effect after in the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bot.backtest.ledger import fills_of, orders_of
from sigma_bot.backtest.rows import Rows
from sigma_bot.backtest.session import Columns, CompiledSession, InterpretedSession
from sigma_bot.engine.broker import Broker
from sigma_bot.engine.loops import TICK_COLUMNS
from sigma_bot.engine.types import OrderType, TimeInForce
from sigma_bot.kernel.errors import CannotCompileError
from sigma_bot.model.conversion import optional_price, side_of
from sigma_bot.model.orders import InputRow
from sigma_bot.model.units import money_of, price_of, quantity_of
from sigma_bot.parity.compare import FillLine, OrderLine, Trace
from sigma_bot.results.result import CANCELLED, EXPIRED, FILLED, REJECTED
from sigma_bot.runtime.callbacks import start
from sigma_bot.runtime.decision_engine import IDLE_STRATEGY, DecisionEngine
from sigma_bot.runtime.loader import LoadedStrategy
from sigma_bot.spec import StrategySpec

STATES = {FILLED: "filled", CANCELLED: "cancelled", EXPIRED: "expired"}
Ranges = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Rerun:
    """What came out, and whether compiled code computed it (else why not)."""

    trace: Trace
    compiled: bool
    reason: str
    rows: int


def columns_of(tables: Mapping[str, Any], symbols: Sequence[str], lost: Ranges = ()) -> Columns:
    """The recorded ticks (Arrow tables by symbol) as the columns of a backtest, and ``seq``: by batch, then
    in the order of ``symbols``. Batches that the bot did not get are left out."""
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in (*TICK_COLUMNS, "seq")}
    for index, symbol in enumerate(symbols):
        if symbol not in tables:
            continue
        table = tables[symbol]
        for name, part in parts.items():
            if name == "symbol":
                part.append(np.full(len(table), index, np.int32))
            else:
                values = table[name].to_numpy()
                part.append(values.astype(np.int64) if name == "ts" else values)
    if not parts["seq"]:
        return {name: np.zeros(0, np.int64) for name in parts}
    whole = {name: np.concatenate(part) for name, part in parts.items()}
    order = np.lexsort((whole["symbol"], whole["seq"]))
    for first, last in lost:
        order = order[(whole["seq"][order] < first) | (whole["seq"][order] > last)]
    return {name: np.ascontiguousarray(column[order]) for name, column in whole.items()}


def rerun(
    spec: StrategySpec, loaded: LoadedStrategy, columns: Columns, inputs: Iterable[InputRow] = ()
) -> Rerun:
    """Run ``columns`` of ``columns_of`` under the assumptions of ``spec``. Raises StrategyError when the
    strategy raises where the run's did not."""
    given = sorted(inputs, key=lambda row: (row.tick, row.number))
    strategy = loaded.instance
    start(strategy)
    decisions = DecisionEngine(spec, strategy)
    if len(columns["ts"]):
        decisions.broker.risk.trading_from = int(columns["ts"][0]) + decisions.warmup
    by_hand = any(row.kind in ("flatten", "raised") for row in given)
    session, reason = _open(loaded, decisions, by_hand)
    _feed(session, decisions, columns, given)
    _, broker = session.finish()
    compiled = isinstance(session, CompiledSession) and not session.gave_up
    if isinstance(session, CompiledSession):
        reason = session.gave_up
    events = session.recorder.all_events()
    symbols = tuple(market.symbol for market in spec.markets)
    trace = Trace(
        order_lines(orders_of(events, broker), broker, symbols),
        fill_lines(fills_of(events), broker, symbols, spec.account.precision),
    )
    return Rerun(trace, compiled, reason, len(columns["ts"]))


def _open(
    loaded: LoadedStrategy, decisions: DecisionEngine, by_hand: bool
) -> tuple[CompiledSession | InterpretedSession, str]:
    if by_hand:
        return InterpretedSession(
            decisions.strategy, decisions.broker, "tick"
        ), "the run was flattened, or it raised"
    try:
        from sigma_bot.backtest.compiled import entry_for

        entry = entry_for(loaded.cls, "tick")
    except CannotCompileError as error:
        return InterpretedSession(decisions.strategy, decisions.broker, "tick"), str(error)
    return CompiledSession(decisions.strategy, decisions.broker, "tick", entry.call), ""


def _feed(
    session: CompiledSession | InterpretedSession,
    decisions: DecisionEngine,
    columns: Columns,
    given: Sequence[InputRow],
) -> None:
    """Stretches between two inputs; batch by batch while positions are being closed by hand."""
    seq = columns["seq"]
    flattening = False
    silent = _silences(given)
    at = 0
    stops = sorted({row.tick for row in given} | {tick - 1 for span in silent for tick in span})
    for stop in [*stops, None]:
        end = len(seq) if stop is None else int(np.searchsorted(seq, stop, "right"))
        while at < end:
            if isinstance(session, InterpretedSession):
                quiet = any(first <= seq[at] < last for first, last in silent)
                session.strategy = IDLE_STRATEGY if quiet else decisions.strategy
            upto = int(np.searchsorted(seq, seq[at], "right")) if flattening else end
            session.feed({name: columns[name][at:upto] for name in TICK_COLUMNS}, lambda _: None)
            at = upto
            flattening = flattening and not _flatten(session, decisions)
        for row in given:
            if row.tick != stop:
                continue
            if row.kind in ("halt", "resume"):
                _halt(session, decisions, row.kind == "halt")
            if row.kind == "flatten":
                flattening = not _flatten(session, decisions)
            elif row.kind in ("resume", "unflatten"):
                flattening = False


def _silences(given: Sequence[InputRow]) -> list[tuple[int, int]]:
    """Batches (from, before) in which the strategy was not called: from the one it raised on until it was
    resumed."""
    found: list[tuple[int, int]] = []
    since: int | None = None
    for row in sorted(given, key=lambda row: row.number):
        if row.kind == "raised" and since is None:
            since = row.tick
        elif row.kind == "resume" and since is not None:
            found.append((since, row.tick + 1))
            since = None
    if since is not None:
        found.append((since, 1 << 62))
    return found


def _halt(session: CompiledSession | InterpretedSession, decisions: DecisionEngine, halted: bool) -> None:
    decisions.broker.risk.halted = int(halted)
    if isinstance(session, CompiledSession) and session.fallback is None:
        session.broker["risk"]["halted"][0] = int(halted)


def _flatten(session: CompiledSession | InterpretedSession, decisions: DecisionEngine) -> bool:
    done = decisions.flatten()
    session.drain()
    return done


def order_lines(orders: Rows, broker: Broker, symbols: Sequence[str]) -> tuple[OrderLine, ...]:
    """A backtest's order list as lines; refused orders never were orders of an account."""
    out = []
    for row in orders[orders["status"] != REJECTED]:
        symbol = int(row["symbol"])
        market = broker.markets[symbol]
        kind, lots, filled = OrderType(row["kind"]).text, int(row["lots"]), int(row["filled"])
        state = STATES.get(int(row["status"]), "partial" if filled else "open")
        out.append(
            OrderLine(
                id=int(row["id"]),
                created=int(row["ts"]),
                symbol=symbols[symbol],
                side=side_of(int(row["side"])),
                order_type=kind,
                tif=TimeInForce(row["tif"]).text,
                quantity=quantity_of(market, lots),
                limit=None if kind == "market" else optional_price(broker, symbol, float(row["limit"])),
                stop=optional_price(broker, symbol, float(row["stop"])),
                state=state,
                filled=quantity_of(market, filled),
                ended=int(row["closed"]) if state in STATES.values() else 0,
            )
        )
    return tuple(sorted(out))


def fill_lines(fills: Rows, broker: Broker, symbols: Sequence[str], precision: int) -> tuple[FillLine, ...]:
    """A backtest's fills as lines."""
    return tuple(
        FillLine(
            ts=int(row["ts"]),
            order=int(row["order"]),
            symbol=symbols[int(row["symbol"])],
            side=side_of(int(row["side"])),
            price=price_of(broker.markets[int(row["symbol"])], float(row["price"])),
            quantity=quantity_of(broker.markets[int(row["symbol"])], int(row["lots"])),
            notional=money_of(int(row["notional"]), precision),
            fee=money_of(int(row["fee"]), precision),
            realized=money_of(int(row["realized"]), precision),
            maker=bool(row["maker"]),
        )
        for row in fills
    )
