"""A bot's whole state as text: broker and strategy, as they stand between two rows.

JSON keeps every bit: floats by their shortest exact form, integers whole. Of the broker's arrays only what is
in use is kept, so a checkpoint of a plain strategy is a few kilobytes. The queues are empty between rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from sigma_bot.engine.broker import Broker
from sigma_bot.engine.risk import RiskManager
from sigma_bot.engine.types import Market
from sigma_bot.engine.venue import coarser
from sigma_bot.errors import SigmaError
from sigma_bot.kernel.struct import SCALARS, ArraySpec, Struct
from sigma_bot.strategy import Strategy

FORM = 1
Skipped = Mapping[type, frozenset[str]]
_COUNTERS = frozenset(("halted", "minute", "count", "next_day", "day_equity", "trading_from"))
_HELD = frozenset(
    (
        "ts",
        "bid",
        "ask",
        "mid",
        "last",
        "first_price",
        "wake_below",
        "wake_above",
        "lots",
        "qty",
        "cost",
        "realized",
        "best",
        "worst",
    )
) | {"used_row", "used_bid", "used_ask", "used_volume"}
_SETTINGS = frozenset(
    ("n_timeframes", "timeframes", "latency", "leveraged", "queue_model", "half_spread", "slippage")
) | {"slippage_ticks", "volume_limit", "liquidation_fee"}
# What a manifest says, as against what has happened: left as it is when a new strategy takes over.
MANIFEST_FIELDS: Skipped = {
    Broker: _SETTINGS,
    RiskManager: frozenset(RiskManager.__fields__) - _COUNTERS,
    Market: frozenset(Market.__fields__) - _HELD,
}
_QUEUES = frozenset(("events", "samples", "payment_rates", "payment_times"))
_PARTIAL = frozenset(("orders", "markets", "active", "free"))


FORMER_NAMES = {
    "next_wake": "wake",
    "needs_matching": "dirty",
    "inside_bar": "inside",
    "delivered": "seen",
    "event_budget": "busy",
    "lost_events": "lost",
    "queue_model": "queue",
}
"""What an earlier version called the broker's fields. Orders and markets are stored by place, not by name."""


class StateError(SigmaError):
    """A checkpoint does not fit the code that should go on from it."""


def dump(broker: Broker, strategy: Strategy, adapter_state: Mapping[str, Any]) -> str:
    """Both as text; ``adapter_state`` holds what else the bot must know again, as plain JSON values."""
    active = broker.active[: broker.n_active]
    whole = {n: _value(t, getattr(broker, n)) for n, t in fields(broker) if n not in _QUEUES | _PARTIAL}
    state = {
        "form": FORM,
        "broker": whole,
        "orders": {slot: _values(broker.orders[slot]) for slot in active},
        "active": active,
        "free": broker.free[: broker.n_free],
        "markets": [_values(m) for m in broker.markets[: broker.n_markets]],
        "strategy": {"fields": names(strategy), "values": _values(strategy)},
        "adapter": adapter_state,
    }
    return json.dumps(state, separators=(",", ":"))


def load(text: str, broker: Broker, strategy: Strategy | None) -> dict[str, Any]:
    """Put a checkpoint back and return its ``adapter_state``. ``broker`` must be freshly built from the same
    markets.

    Without ``strategy`` a new one takes over: account and orders are put back, rules, limits and bars are
    those of ``broker``. Raises StateError when the fields differ.
    """
    state = json.loads(text)
    _put_back(state, broker, MANIFEST_FIELDS if strategy is None else {})
    if strategy is not None:
        if state["strategy"]["fields"] != names(strategy):
            raise StateError("the strategy's fields are not those of the checkpoint")
        _assign(strategy, state["strategy"]["values"])
    # "desk": as earlier versions stored it
    adapter_state: dict[str, Any] = state["adapter"] if "adapter" in state else state["desk"]
    return adapter_state


def look(text: str, broker: Broker) -> None:
    """Put account, orders and rules of a checkpoint into ``broker``, to be looked at. Raises StateError."""
    _put_back(json.loads(text), broker, {})


def _put_back(state: Mapping[str, Any], broker: Broker, skipped: Skipped) -> None:
    if state["form"] != FORM:
        raise StateError(f"checkpoint of form {state['form']}; this version reads {FORM}")
    if len(state["markets"]) != broker.n_markets:
        raise StateError(
            f"checkpoint of {len(state['markets'])} markets, the manifest has {broker.n_markets}: "
            "flatten and reset the bot, or take the markets back"
        )
    for name, t in fields(broker):
        if name not in _QUEUES | _PARTIAL | _missing(state["broker"]) and name not in skipped.get(Broker, ()):
            setattr(broker, name, _made(t, _stored(state["broker"], name), getattr(broker, name), skipped))
    for slot, values in state["orders"].items():
        _assign(broker.orders[int(slot)], values)
    broker.active[: len(state["active"])] = state["active"]
    broker.free[: len(state["free"])] = state["free"]
    for own, market, values in zip(broker.own_lot, broker.markets, state["markets"], strict=False):
        _assign(market, values, skipped)
        if own:
            _keep_lot(market, values)


LATER_FIELDS = frozenset(
    ("n_payments", "payment_mark", "payment_lots", "held_least", "held_most", "ambiguous_row", "n_ending")
) | {"ended", "own_lot"}
"""What an earlier version did not have: left as it was built."""


def _missing(broker: Mapping[str, Any]) -> frozenset[str]:
    return LATER_FIELDS - broker.keys()


def _keep_lot(market: Market, values: list[Any]) -> None:
    """A lot that was chosen at the market's first price stays when a new strategy takes over: the position
    is counted in it."""
    place = {name: i for i, name in enumerate(Market.__fields__)}
    lot = Fraction(values[place["lot_num"]], values[place["lot_den"]])
    while Fraction(market.lot_num, market.lot_den) < lot:
        coarser(market)


def _stored(broker: Mapping[str, Any], name: str) -> Any:
    """A field of the stored broker, whichever version wrote it."""
    return broker[name] if name in broker else broker[FORMER_NAMES[name]]


def holds_position(text: str) -> bool:
    """Whether a checkpoint has a position that is large enough to be closed."""
    place = {name: i for i, name in enumerate(Market.__fields__)}
    for market in json.loads(text)["markets"]:
        lots = abs(market[place["lots"]])
        worth = lots * market[place["unit_num"]] / market[place["unit_den"]] * market[place["mid"]]
        if lots >= max(market[place["min_lots"]], 1) and worth >= market[place["min_notional"]]:
            return True
    return False


def fields(struct: Struct) -> list[tuple[str, Any]]:
    """Names and types of a struct's fields."""
    return list(type(struct).__fields__.items())


def names(struct: Struct) -> str:
    """The layout of a struct as text, nested structs by their own fields."""
    return ",".join(f"{name}:{_kind(t)}" for name, t in fields(struct))


def _kind(t: Any) -> str:
    if isinstance(t, ArraySpec):
        return f"{_kind(t.item)}[{t.n}]"
    if t in SCALARS:
        return str(t.__name__)
    return "{" + ",".join(f"{name}:{_kind(part)}" for name, part in t.__fields__.items()) + "}"


def _values(struct: Struct) -> list[Any]:
    read, nested = _parts(type(struct))
    values = list(read(struct))
    for i, t in nested:
        values[i] = _value(t, values[i])
    return values


@cache
def _parts(kind: type[Struct]) -> tuple[Callable[[Struct], Iterable[Any]], list[tuple[int, Any]]]:
    """What reads the fields of a struct, and those that are not plain numbers. Looked up once: states are
    stored often."""
    types = list(kind.__fields__.items())
    names = [name for name, _ in types]
    if len(names) > 1:
        read: Callable[[Struct], Iterable[Any]] = attrgetter(*names)
    else:  # attrgetter of one name gives no tuple

        def read(struct: Struct) -> Iterable[Any]:
            return [getattr(struct, name) for name in names]

    return read, [(i, t) for i, (_, t) in enumerate(types) if not _is_scalar(t)]


def _is_scalar(t: Any) -> bool:
    return t.item in SCALARS if isinstance(t, ArraySpec) else t in SCALARS


def _value(t: Any, value: Any) -> Any:
    if _is_scalar(t):
        return value
    return [_values(item) for item in value] if isinstance(t, ArraySpec) else _values(value)


def _assign(struct: Struct, values: list[Any], skipped: Skipped = MappingProxyType({})) -> None:
    for (name, t), value in zip(fields(struct), values, strict=True):
        if name not in skipped.get(type(struct), ()):
            setattr(struct, name, _made(t, value, getattr(struct, name), skipped))


def _made(t: Any, value: Any, now: Any, skipped: Skipped) -> Any:
    if isinstance(t, ArraySpec):
        if t.item in SCALARS:
            return list(value)
        for item, part in zip(now, value, strict=True):
            _assign(item, part, skipped)
        return now
    if t in SCALARS:
        return value
    _assign(now, value, skipped)
    return now
