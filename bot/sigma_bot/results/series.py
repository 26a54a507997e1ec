"""Arrays of a result as columns of a table and back, exactly.

Written columns hold integers and text only, and the same ones go into both databases: a decimal is its
digits, put together from integers (quanta, lots) or by ``repr`` of a float, which is the shortest text that
reads back as that float. Codes (side, kind, reason …) are stored as words, so a code renumbered in a later
version misreads nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sigma_bot.engine.types import OrderType, Reason, TimeInForce
from sigma_bot.errors import SigmaError
from sigma_bot.results.result import FILL, ORDER, ORDER_STATUS, equity_dtype
from sigma_bot.results.trades import TRADE

Values = list[Any]

WORDS: Mapping[str, Mapping[int, str]] = {
    "side": {1: "buy", -1: "sell", 0: ""},
    "way": {1: "long", -1: "short"},
    "kind": dict(enumerate(OrderType.texts())),
    "tif": dict(enumerate(TimeInForce.texts())),
    "status": dict(enumerate(ORDER_STATUS)),
    "reason": dict(enumerate(Reason.texts())),
}
# 64-bit integers times a lot size: 60 digits hold them all, so nothing is rounded.
_WIDE = Context(prec=60)


@dataclass(frozen=True)
class Units:
    """What turns integers into amounts: decimals of the currency, and each symbol's name and lot size."""

    precision: int
    symbols: tuple[str, ...]
    lot_sizes: tuple[Decimal, ...]


@dataclass(frozen=True)
class Series:
    """How one array lies in its table: ``(field, column, form)`` in the order of the columns.

    Forms: whole, money, lots, price, double, flag, moment (ns, 0 = none), symbol, marks, or a key of `WORDS`.
    """

    table: str
    dtype: Callable[[int], np.dtype[Any]]
    fields: tuple[tuple[str, str, str], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's columns."""
        return tuple(column for _, column, _ in self.fields)

    def write(self, rows: NDArray[np.void], units: Units) -> list[Values]:
        """One list per column. Raises ValueError when the array's fields are not those of this series."""
        expected = self.dtype(len(units.symbols))
        if rows.dtype != expected:
            raise ValueError(f"{self.table}: expected an array of {expected}, got {rows.dtype}")
        symbols = _symbols(rows)
        return [_FORMS[form].write(rows[field], symbols, units) for field, _, form in self.fields]

    def read(self, rows: Sequence[Sequence[Any]], units: Units) -> NDArray[np.void]:
        """The array whose `write` gave these rows."""
        out = np.zeros(len(rows), self.dtype(len(units.symbols)))
        if not rows:
            return out
        columns = dict(zip(self.columns, zip(*rows, strict=True), strict=True))
        # The symbol comes first: lots are read by the lot size of their symbol.
        for field, column, form in sorted(self.fields, key=lambda entry: entry[2] != "symbol"):
            out[field] = _FORMS[form].read(columns[column], _symbols(out), units)
        return out


def decimal_texts(values: Sequence[int], places: int) -> list[str]:
    """Each integer times ``10 ** -places`` as decimal text: ``decimal_texts([-105], 2) == ["-1.05"]``."""
    if places <= 0:
        return [str(value * 10**-places) for value in values]
    digits = [str(value).zfill(places + 1 + (value < 0)) for value in values]
    return [f"{text[:-places]}.{text[-places:]}" for text in digits]


def _quantities(lots: NDArray[Any], symbols: NDArray[Any], units: Units) -> Values:
    """Lots times the lot size of their symbol, as decimal text."""
    texts = np.empty(len(lots), object)
    for index, lot_size in enumerate(units.lot_sizes):
        mine = symbols == index
        mantissa, places = _parts(lot_size)
        texts[mine] = decimal_texts([value * mantissa for value in lots[mine].tolist()], places)
    return list(texts)


def _lots(quantities: Sequence[Any], symbols: NDArray[Any], units: Units) -> Values:
    parts = [_parts(lot_size) for lot_size in units.lot_sizes]
    lots = []
    for quantity, symbol in zip(quantities, symbols.tolist(), strict=True):
        mantissa, places = parts[symbol]
        whole, rest = divmod(_integer(quantity, places), mantissa)
        if rest:
            raise SigmaError(
                f"stored quantity {quantity} is not a whole number of lots of {units.lot_sizes[symbol]}"
            )
        lots.append(whole)
    return lots


def _integer(amount: Decimal, places: int) -> int:
    """``amount * 10 ** places``, which must be whole."""
    scaled = amount.scaleb(places, _WIDE)
    if scaled != scaled.to_integral_value():
        raise SigmaError(f"stored amount {amount} has more than {places} decimals")
    return int(scaled)


def _parts(lot_size: Decimal) -> tuple[int, int]:
    """A lot size as ``mantissa * 10 ** -places``."""
    _, digits, exponent = lot_size.as_tuple()
    return int("".join(map(str, digits))), -int(exponent)


def _symbols(rows: NDArray[np.void]) -> NDArray[Any] | None:
    return rows["symbol"] if "symbol" in (rows.dtype.names or ()) else None


class _Form(NamedTuple):
    """How one kind of value is written and read: ``(values, symbols or None, units) -> values``."""

    write: Callable[[NDArray[Any], Any, Units], Values]
    read: Callable[[Sequence[Any], Any, Units], Values]


def _words(table: Mapping[int, str]) -> _Form:
    return _Form(
        lambda values, _, __: [table[value] for value in values.tolist()],
        lambda values, _, __: _codes(values, table),
    )


def _codes(values: Sequence[str], table: Mapping[int, str]) -> Values:
    codes = {word: code for code, word in table.items()}
    try:
        return [codes[value] for value in values]
    except KeyError as error:
        raise SigmaError(
            f"stored word {error.args[0]!r} is not known to this version of SIGMA-X; "
            "read the run with the version that stored it"
        ) from None


def _optional(values: NDArray[Any]) -> Values:
    """Floats with None for NaN. Adding zero makes -0.0 plain zero, which NUMERIC cannot tell apart."""
    return [None if math.isnan(value) else value for value in (values + 0.0).tolist()]


def _floats(values: Sequence[Any]) -> Values:
    return [math.nan if value is None else float(value) for value in values]


def _mark(value: float | None) -> float | str | None:
    """A float as JSON, which cannot name the infinities."""
    return repr(value) if value is not None and math.isinf(value) else value


def _same(values: Sequence[Any], _: Any, __: Units) -> Values:
    return list(values)


_FORMS: dict[str, _Form] = {
    "whole": _Form(lambda values, _, __: values.tolist(), _same),
    "flag": _Form(lambda values, _, __: [int(value) for value in values.tolist()], _same),
    "moment": _Form(
        lambda values, _, __: [value or None for value in values.tolist()],
        lambda values, _, __: [value or 0 for value in values],
    ),
    "money": _Form(
        lambda values, _, units: decimal_texts(values.tolist(), units.precision),
        lambda values, _, units: [_integer(value, units.precision) for value in values],
    ),
    "lots": _Form(_quantities, _lots),
    "price": _Form(
        lambda values, _, __: [None if value is None else repr(value) for value in _optional(values)],
        lambda values, _, __: _floats(values),
    ),
    "double": _Form(lambda values, _, __: _optional(values), lambda values, _, __: _floats(values)),
    "marks": _Form(
        lambda values, _, __: [json.dumps([_mark(mark) for mark in _optional(row)]) for row in values],
        lambda values, _, __: [_floats(row) for row in values],
    ),
    "symbol": _Form(
        lambda values, _, units: [units.symbols[value] for value in values.tolist()],
        lambda values, _, units: _codes(values, dict(enumerate(units.symbols))),
    ),
    **{name: _words(table) for name, table in WORDS.items()},
}

ORDERS = Series(
    "run_orders",
    lambda _: ORDER,
    (
        ("id", "order_id", "whole"),
        ("ts", "ts", "whole"),
        ("symbol", "symbol", "symbol"),
        ("side", "side", "side"),
        ("kind", "kind", "kind"),
        ("tif", "tif", "tif"),
        ("lots", "quantity", "lots"),
        ("filled", "filled", "lots"),
        ("limit", "limit_price", "price"),
        ("stop", "stop_price", "price"),
        ("status", "status", "status"),
        ("reason", "reason", "reason"),
        ("closed", "closed", "moment"),
        ("parent", "parent", "whole"),
        ("group", "group_id", "whole"),
    ),
)
FILLS = Series(
    "run_fills",
    lambda _: FILL,
    (
        ("ts", "ts", "whole"),
        ("order", "order_id", "whole"),
        ("symbol", "symbol", "symbol"),
        ("side", "side", "side"),
        ("lots", "quantity", "lots"),
        ("price", "price", "price"),
        ("notional", "notional", "money"),
        ("fee", "fee", "money"),
        ("realized", "realized", "money"),
        ("position", "position", "lots"),
        ("maker", "maker", "flag"),
        ("best", "best", "price"),
        ("worst", "worst", "price"),
    ),
)
TRADES = Series(
    "run_trades",
    lambda _: TRADE,
    (
        ("symbol", "symbol", "symbol"),
        ("side", "side", "way"),
        ("entry", "entry", "whole"),
        ("exit", "exit", "moment"),
        ("lots", "quantity", "lots"),
        ("entry_price", "entry_price", "price"),
        ("exit_price", "exit_price", "price"),
        ("pnl", "pnl", "money"),
        ("fees", "fees", "money"),
        ("mae", "mae", "price"),
        ("mfe", "mfe", "price"),
        ("fills", "fills", "whole"),
        ("open", "open", "flag"),
    ),
)
EQUITY = Series(
    "run_equity",
    equity_dtype,
    (
        ("ts", "ts", "whole"),
        ("equity", "equity", "price"),
        ("gross", "gross", "price"),
        ("benchmark", "benchmark", "double"),
        ("marks", "marks", "marks"),
    ),
)
