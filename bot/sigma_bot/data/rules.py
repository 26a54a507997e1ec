"""What makes a row of market data wrong: one table, used while reading (the first fault stops), by ``sigma
data check`` (every fault is counted) and by ``sigma data import --drop-bad`` (faulty rows are left out)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Rule:
    """``bad`` gives a mask over the rows; ``says`` is formatted with the row's values by column name."""

    name: str
    column: str
    bad: Callable[[Columns], np.ndarray]
    says: str


def _not_finite(column: str) -> Rule:
    return Rule(
        "not a number",
        column,
        lambda c: ~np.isfinite(c[column]),
        "is {" + column + "}; a finite number is needed",
    )


def _price(column: str) -> list[Rule]:
    value = "{" + column + "}"
    return [
        _not_finite(column),
        Rule("zero price", column, lambda c: c[column] == 0, f"price is {value}; a price is above zero"),
        Rule("negative price", column, lambda c: c[column] < 0, f"price is {value}; a price is above zero"),
    ]


def _amount(column: str, name: str) -> list[Rule]:
    says = f"{name} is {{{column}}}; it cannot be below zero"
    return [_not_finite(column), Rule(f"negative {name}", column, lambda c: c[column] < 0, says)]


def _crossed() -> Rule:
    return Rule("crossed quotes", "bid", lambda c: c["bid"] > c["ask"], "bid {bid} is above ask {ask}")


def _outside(column: str, low: str = "low", high: str = "high") -> Rule:
    return Rule(
        f"{column} outside high and low",
        column,
        lambda c: (c[column] < c[low]) | (c[column] > c[high]),
        f"{column} {{{column}}} lies outside low {{{low}}} .. high {{{high}}}",
    )


def _high_low() -> Rule:
    return Rule("high below low", "high", lambda c: c["high"] < c["low"], "high {high} is below low {low}")


RULES: dict[str, list[Rule]] = {
    "bars": [
        *(rule for name in ("open", "high", "low", "close") for rule in _price(name)),
        _high_low(),
        _outside("open"),
        _outside("close"),
        *_amount("volume", "volume"),
    ],
    "quotes": [
        *_price("bid"),
        *_price("ask"),
        _crossed(),
        *_amount("bid_size", "size"),
        *_amount("ask_size", "size"),
    ],
    "trades": [*_price("price"), *_amount("size", "size")],
    "ticks": [
        *(rule for name in ("bid", "ask", "last", "low", "high") for rule in _price(name)),
        _crossed(),
        _high_low(),
        *(rule for name in ("bid_size", "ask_size", "volume") for rule in _amount(name, "volume")),
    ],
}


def healthy(kind: str, c: Columns) -> bool:
    """Whether every row passes every rule, in few passes over the columns: NaN fails every comparison."""
    inf = np.inf
    if kind == "bars":
        return bool(
            (c["low"] > 0).all()
            and (c["high"] < inf).all()
            and (c["low"] <= c["open"]).all()
            and (c["open"] <= c["high"]).all()
            and (c["low"] <= c["close"]).all()
            and (c["close"] <= c["high"]).all()
            and _amounts(c, "volume")
        )
    if kind == "trades":
        return bool((c["price"] > 0).all() and (c["price"] < inf).all() and _amounts(c, "size"))
    quotes = bool((c["bid"] > 0).all() and (c["bid"] <= c["ask"]).all() and (c["ask"] < inf).all())
    if kind == "quotes":
        return quotes and _amounts(c, "bid_size", "ask_size")
    return (
        quotes
        and bool((c["low"] > 0).all() and (c["low"] <= c["high"]).all() and (c["high"] < inf).all())
        and bool((c["last"] > 0).all() and (c["last"] < inf).all())
        and _amounts(c, "bid_size", "ask_size", "volume")
    )


def _amounts(c: Columns, *names: str) -> bool:
    return all(bool((c[n] >= 0).all() and (c[n] < np.inf).all()) for n in names)


def faults(kind: str, columns: Columns) -> list[tuple[Rule, np.ndarray]]:
    """Each broken rule with the rows that break it. A row that is no number breaks only that rule of its
    column."""
    found = []
    with np.errstate(invalid="ignore"):
        for rule in RULES[kind]:
            mask = rule.bad(columns)
            if mask.any():
                found.append((rule, np.flatnonzero(mask)))
    return found


def first_fault(kind: str, columns: Columns) -> tuple[Rule, int] | None:
    """The fault in the earliest row."""
    found = faults(kind, columns)
    if not found:
        return None
    rule, rows = min(found, key=lambda item: int(item[1][0]))
    return rule, int(rows[0])


def describe(rule: Rule, columns: Columns, row: int) -> str:
    """The rule's sentence with the row's own values."""
    return rule.says.format(**{name: _shown(values[row]) for name, values in columns.items()})


def _shown(value: object) -> str:
    number = float(value)  # type: ignore[arg-type]
    return "empty or not a number" if np.isnan(number) else f"{number!r}"
