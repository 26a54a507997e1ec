"""What goes into and comes out of the store, and how a result lies in one row of ``runs``."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from sigma_bot.times import utc
from sigma_bot.version import VERSION

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import RowMapping

    from sigma_bot.results.result import BacktestResult

# Letters that are not mistaken for one another when read aloud or typed.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# The amounts of ``BacktestResult.final`` that have a ledger column; anything else in it rests in ``details``.
_FINAL_MONEY = {"cash": "final_cash", "realized": "realized", "fees": "fees", "funding": "funding"}
_DIGESTS = ("code", "manifest", "data")


@dataclass(frozen=True)
class StoredRun:
    """One stored run without its series. Amounts are exact decimals of ``currency``, times aware, in UTC."""

    key: int
    id: str
    kind: Literal["backtest", "sweep"]
    status: Literal["done", "interrupted"]
    name: str
    created: datetime
    version: str
    digest: str
    digests: dict[str, str]
    engine: Literal["compiled", "interpreted"]
    strategy: str
    params: dict[str, Any]
    currency: str
    precision: int
    data_kind: Literal["tick", "bar"]
    timeframe: int
    start: int
    end: int
    start_time: datetime
    end_time: datetime
    events: int
    initial_cash: Decimal
    final_cash: Decimal | None
    final_equity: Decimal | None
    realized: Decimal | None
    fees: Decimal | None
    funding: Decimal | None
    metrics: dict[str, Any]
    counts: dict[str, int]
    manifest: dict[str, Any]
    details: dict[str, Any]


@dataclass(frozen=True)
class StoredResult:
    """A backtest read back whole: equal to what was stored, to the last digit."""

    run: StoredRun
    result: BacktestResult
    trades: NDArray[np.void]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One combination of a sweep."""

    number: int
    params: Mapping[str, float | int | bool]
    metrics: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class Sweep:
    """The head of a sweep: what was searched, over which data, and the best that was found.

    ``params`` is the space searched (name to values or range text), ``settings`` the rest of the
    request (objective, sampler, number of trials); ``initial_cash`` in quanta, times ns UTC.
    """

    name: str
    digest: str
    digests: Mapping[str, str]
    engine: Literal["compiled", "interpreted"]
    strategy: str
    params: Mapping[str, Any]
    kind: Literal["tick", "bar"]
    timeframe: int
    currency: str
    precision: int
    initial_cash: int
    start: int
    end: int
    events: int
    status: Literal["done", "interrupted"] = "done"
    metrics: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)


def new_id() -> str:
    """A short name for a run: 50 random bits. It starts with r, so it is never a digest's beginning."""
    return "r" + "".join(secrets.choice(_ALPHABET) for _ in range(10))


def amount(quanta: int, precision: int) -> Decimal:
    """Quanta as the exact amount."""
    return Decimal(int(quanta)).scaleb(-precision)


def result_row(result: BacktestResult, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The row of ``runs`` that holds all of a result but its series."""
    final = dict(result.final)
    row = {
        column: amount(final.pop(key), result.precision)
        for key, column in _FINAL_MONEY.items()
        if key in final
    }
    if "equity" in final:
        row["final_equity"] = Decimal(repr(float(final.pop("equity"))))
    details = {
        "engine_reason": result.engine_reason,
        "seconds": result.seconds,
        "markets": [asdict(market) for market in result.markets],
        "assumptions": result.assumptions,
        "warnings": result.warnings,
        "final": final,
    }
    return row | _head(result, details) | {
        "kind": "backtest",
        "status": "done",
        "metrics": metrics,
        "counts": result.counts,
    }  # fmt: skip


def sweep_row(sweep: Sweep, trials: int) -> dict[str, Any]:
    """The row of ``runs`` for the head of a sweep."""
    return _head(sweep, {"settings": sweep.settings}) | {
        "kind": "sweep",
        "status": sweep.status,
        "metrics": sweep.metrics,
        "counts": {"trials": trials},
    }


def _head(source: BacktestResult | Sweep, details: dict[str, Any]) -> dict[str, Any]:
    """The columns that a backtest and a sweep fill alike."""
    others = {name: value for name, value in source.digests.items() if name not in _DIGESTS}
    return {
        "id": new_id(),
        "name": source.name,
        "created": datetime.now(UTC),
        "version": VERSION,
        "digest": source.digest,
        **{f"{name}_digest": source.digests.get(name, "") for name in _DIGESTS},
        "engine": source.engine,
        "strategy": source.strategy,
        "params": source.params,
        "currency": source.currency,
        "precision": source.precision,
        "data_kind": source.kind,
        "timeframe_ns": source.timeframe,
        "start_ns": source.start,
        "end_ns": source.end,
        "start_time": utc(source.start),
        "end_time": utc(source.end),
        "events": source.events,
        "initial_cash": amount(source.initial_cash, source.precision),
        "manifest": source.manifest,
        "details": details | {"digests": others},
    }


def stored_run_of(row: RowMapping) -> StoredRun:
    """A row of ``runs`` as a value."""
    values: dict[str, Any] = dict(row)
    named = {name: values.pop(f"{name}_digest") for name in _DIGESTS}
    digests = {name: value for name, value in named.items() if value} | values["details"]["digests"]
    renamed = {
        "key": values.pop("pk"),
        "timeframe": values.pop("timeframe_ns"),
        "start": values.pop("start_ns"),
        "end": values.pop("end_ns"),
    }
    return StoredRun(digests=digests, **renamed, **values)


def result_of(
    run: StoredRun, series: Mapping[str, NDArray[np.void]], rejections: Mapping[str, int]
) -> BacktestResult:
    """The result whose row and series these are."""
    from sigma_bot.results.result import BacktestResult, ResultMarket

    details = run.details
    return BacktestResult(
        name=run.name,
        digest=run.digest,
        digests=run.digests,
        engine=run.engine,
        engine_reason=details["engine_reason"],
        strategy=run.strategy,
        params=run.params,
        kind=run.data_kind,
        timeframe=run.timeframe,
        markets=tuple(ResultMarket(**market) for market in details["markets"]),
        currency=run.currency,
        precision=run.precision,
        initial_cash=quanta(run.initial_cash, run.precision),
        start=run.start,
        end=run.end,
        events=run.events,
        seconds=details["seconds"],
        orders=series["orders"],
        fills=series["fills"],
        equity=series["equity"],
        counts=run.counts,
        rejections=dict(rejections),
        final=_final(run),
        assumptions=details["assumptions"],
        warnings=details["warnings"],
        manifest=run.manifest,
    )


def quanta(money: Decimal, precision: int) -> int:
    """The inverse of `amount`."""
    return int(money.scaleb(precision))


def _final(run: StoredRun) -> dict[str, Any]:
    amounts = {key: getattr(run, column) for key, column in _FINAL_MONEY.items()}
    final: dict[str, Any] = {
        key: quanta(value, run.precision) for key, value in amounts.items() if value is not None
    }
    if run.final_equity is not None:
        final |= {"equity": float(run.final_equity)}
    return {**final, **run.details["final"]}
