"""Whether two executions of a strategy did the same: order by order, fill by fill, to the last digit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest
from typing import NamedTuple

from sigma_bot.model.orders import FillRow, OrderRow
from sigma_bot.times import iso_ns

OUTCOME = frozenset(("state", "filled", "ended"))
ENDED = frozenset(("filled", "cancelled", "expired"))


class OrderLine(NamedTuple):
    """What is compared of an order. ``ended`` is 0 while it may still fill."""

    id: int
    created: int
    symbol: str
    side: str
    order_type: str
    tif: str
    quantity: Decimal
    limit: Decimal | None
    stop: Decimal | None
    state: str
    filled: Decimal
    ended: int


class FillLine(NamedTuple):
    """What is compared of a fill."""

    ts: int
    order: int
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    notional: Decimal
    fee: Decimal
    realized: Decimal
    maker: bool


@dataclass(frozen=True)
class Trace:
    """What a strategy did: orders by id, fills in their order."""

    orders: tuple[OrderLine, ...]
    fills: tuple[FillLine, ...]


Line = OrderLine | FillLine


@dataclass(frozen=True)
class Difference:
    """The first thing that is not the same. ``left`` and ``right`` are the two lines; None: there is none.
    ``fields`` names what differs between two lines."""

    what: str  # order, fill
    ts: int
    left: Line | None
    right: Line | None
    fields: tuple[str, ...] = ()

    def told(self, left: str, right: str) -> str:
        """In words; ``left`` and ``right`` name the two sides."""
        when = iso_ns(self.ts)
        if self.left is None or self.right is None:
            there, line = (left, self.left) if self.left is not None else (right, self.right)
            absent = right if there == left else left
            return f"{when}: {self.what} only in {there}, not in {absent}: {_shown(line)}"
        one, two = self.left, self.right
        of = f"order {one.id}" if isinstance(one, OrderLine) else f"fill of order {one.order}"
        pairs = [(name, _told(name, one), _told(name, two)) for name in self.fields]
        return f"{when}: {of}: " + "; ".join(f"{name} {a} in {left}, {b} in {right}" for name, a, b in pairs)


def compare(left: Trace, right: Trace) -> Difference | None:
    """The difference that comes first in time, None when both are the same. Of one instant: an order that is
    another one, then fills, then what became of orders."""
    found = [d for d in (_first_order(left.orders, right.orders), _first_fill(left.fills, right.fills)) if d]
    return min(found, key=lambda d: (d.ts, _rank(d)), default=None)


def _rank(found: Difference) -> int:
    if found.what == "fill":
        return 1
    return 2 if found.fields and OUTCOME.issuperset(found.fields) else 0


def _first_order(left: Sequence[OrderLine], right: Sequence[OrderLine]) -> Difference | None:
    """Orders by their ids: a missing one is told as missing, not as another one in its place. What became of
    an order counts from when it ended, so that a fill that differs is told first."""
    found = []
    rights = {order.id: order for order in right}
    for one in left:
        two = rights.pop(one.id, None)
        if two is None:
            found.append(Difference("order", one.created, one, None))
        elif one != two:
            found.append(_changed(one, two))
    found += [Difference("order", two.created, None, two) for two in rights.values()]
    return min(found, key=lambda d: d.ts, default=None)


def _changed(one: OrderLine, two: OrderLine) -> Difference:
    fields = differing(one, two)
    if OUTCOME.issuperset(fields):
        ends = [end for end in (one.ended, two.ended) if end]
        return Difference("order", min(ends, default=one.created), one, two, fields)
    return Difference("order", min(one.created, two.created), one, two, fields)


def _first_fill(left: Sequence[FillLine], right: Sequence[FillLine]) -> Difference | None:
    for one, two in zip_longest(left, right):
        if one == two:
            continue
        if one is None or two is None or (one.ts, one.order) != (two.ts, two.order):
            # the earlier one is the one that the other side has not
            if two is None or (one is not None and (one.ts, one.order) < (two.ts, two.order)):
                return Difference("fill", one.ts, one, None)
            return Difference("fill", two.ts, None, two)
        return Difference("fill", one.ts, one, two, differing(one, two))
    return None


def differing(one: Line, two: Line) -> tuple[str, ...]:
    """The fields in which two lines of a kind differ."""
    return tuple(n for n, a, b in zip(one._fields, one, two, strict=True) if a != b)


def trace_of(orders: Iterable[OrderRow], fills: Iterable[FillRow]) -> Trace:
    """What the journal holds of a SIM run; ``fills`` in the order they were stored."""
    lines = [
        OrderLine(
            id=row.order_id,
            created=row.created,
            symbol=row.symbol,
            side=row.side,
            order_type=row.order_type,
            tif=row.tif,
            quantity=row.quantity,
            limit=None if row.order_type == "market" else row.limit_price,
            stop=row.stop_price,
            state=str(row.state),
            filled=row.filled,
            ended=row.updated if row.state in ENDED else 0,
        )
        for row in orders
    ]
    executions = [
        FillLine(
            ts=row.ts,
            order=row.order_id,
            symbol=row.symbol,
            side=row.side,
            price=row.price,
            quantity=row.quantity,
            notional=row.notional,
            fee=row.fee,
            realized=row.realized,
            maker=row.maker,
        )
        for row in fills
    ]
    return Trace(tuple(sorted(lines)), tuple(executions))


def _shown(line: Line | None) -> str:
    if isinstance(line, FillLine):
        return f"order {line.order}, {line.side} {line.quantity:f} {line.symbol} at {line.price:f}"
    if isinstance(line, OrderLine):
        at = "" if line.limit is None else f" at {line.limit:f}"
        what = f"{line.order_type} {line.side} {line.quantity:f} {line.symbol}{at}"
        return f"order {line.id}, {what}, {line.state}"
    return "nothing"


def _told(name: str, line: Line) -> str:
    value = getattr(line, name)
    if name in ("ts", "created", "ended") and value:
        return iso_ns(value)
    return _word(value)


def _word(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else "none" if value is None else str(value)


@dataclass(frozen=True)
class Circumstances:
    """What is known of the two sides besides what they did. Digests of the SIM run first; ``missing`` are
    ranges of batches that no recording holds, ``lost`` ranges that the bot did not get."""

    code: tuple[str, str]
    manifest: tuple[str, str]
    missing: tuple[tuple[int, int], ...] = ()
    lost: tuple[tuple[int, int], ...] = ()
    adopted: tuple[int, ...] = ()  # ticks after which other code or another manifest took the run over

    def causes(self) -> list[str]:
        """What may have made the two sides differ, the likeliest first."""
        out = []
        if self.adopted:
            ticks = ", ".join(map(str, self.adopted))
            out.append(
                f"the run was handed over to other code or another manifest after tick {ticks}: no single "
                "backtest repeats it"
            )
        for what, (then, now) in (("code", self.code), ("manifest", self.manifest)):
            if then != now:
                out.append(f"the {what} is another one: digest {then[:12]} when it ran, {now[:12]} now")
        if self.missing:
            out.append(f"the recording lacks {batches(self.missing)}")
        if self.lost:
            out.append(f"the bot did not get {batches(self.lost)}; they were left out of the backtest")
        if not out:
            out.append(
                "code, manifest and ticks are the same: another version of SIGMA-X ran it, or this is a "
                "fault of SIGMA-X; please report it"
            )
        return out


def batches(ranges: Sequence[tuple[int, int]]) -> str:
    """Ranges of batches in words."""
    count = sum(last - first + 1 for first, last in ranges)
    shown = ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in ranges[:3])
    more = f" and {len(ranges) - 3} more stretches" if len(ranges) > 3 else ""
    return f"{count:,} batch{'es' if count != 1 else ''} of ticks ({shown}{more})"
