"""What a backtest leaves behind: one immutable value that reports, storage and the command line read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ORDER_STATUS = ("open", "filled", "cancelled", "expired", "rejected")
OPEN, FILLED, CANCELLED, EXPIRED, REJECTED = range(5)

ORDER = np.dtype(
    [
        ("id", "i8"),
        ("ts", "i8"),
        ("symbol", "i4"),
        ("side", "i8"),
        ("kind", "i8"),
        ("tif", "i8"),
        ("lots", "i8"),
        ("filled", "i8"),
        ("limit", "f8"),
        ("stop", "f8"),
        ("status", "i8"),
        ("reason", "i8"),
        ("closed", "i8"),
        ("parent", "i8"),
        ("group", "i8"),
    ]
)
"""One row an order, in order of submission; ``reason`` indexes ``engine.types.Reason``, ``closed`` 0 =
still open."""

FILL = np.dtype(
    [
        ("ts", "i8"),
        ("order", "i8"),
        ("symbol", "i4"),
        ("side", "i8"),
        ("lots", "i8"),
        ("price", "f8"),
        ("notional", "i8"),
        ("fee", "i8"),
        ("realized", "i8"),
        ("position", "i8"),
        ("maker", "i8"),
        ("best", "f8"),
        ("worst", "f8"),
    ]
)
"""One row an execution. Money in quanta; ``position`` is the lots held after it; ``best`` and ``worst`` are
the most favourable and most adverse marks seen from the opening of the position up to this fill."""


def equity_dtype(symbols: int) -> np.dtype[Any]:
    """Equity samples: account value, gross position value, buy-and-hold index and each symbol's mark."""
    fields: list[Any] = [("ts", "i8"), ("equity", "f8"), ("gross", "f8"), ("benchmark", "f8")]
    return np.dtype([*fields, ("marks", "f8", (symbols,))])


@dataclass(frozen=True)
class ResultMarket:
    """One traded symbol with its steps. ``tick_size`` None means prices are used as they are."""

    symbol: str
    tick_size: Decimal | None
    lot_size: Decimal


@dataclass(frozen=True)
class BacktestResult:
    """See the fields; times are ns since 1970 UTC, money int quanta of ``10 ** -precision`` unless said."""

    name: str
    digest: str
    digests: Mapping[str, str]
    engine: Literal["compiled", "interpreted"]
    engine_reason: str
    strategy: str
    params: Mapping[str, float | int | bool]
    kind: Literal["tick", "bar"]
    timeframe: int
    markets: tuple[ResultMarket, ...]
    currency: str
    precision: int
    initial_cash: int
    start: int
    end: int
    events: int
    seconds: dict[str, float]
    orders: NDArray[np.void]
    fills: NDArray[np.void]
    equity: NDArray[np.void]
    counts: Mapping[str, int]
    rejections: Mapping[str, int]
    final: Mapping[str, Any]
    assumptions: list[tuple[str, str]]
    warnings: list[str]
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def money(self, quanta: int) -> Decimal:
        """Quanta as the exact decimal amount."""
        return Decimal(int(quanta)).scaleb(-self.precision)

    def quantity(self, lots: int, symbol: int) -> Decimal:
        """Lots of a symbol as the exact decimal quantity."""
        return int(lots) * self.markets[symbol].lot_size
