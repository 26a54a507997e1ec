"""The space of a sweep: from ``fast=5:50:5`` to values, and from values to combinations."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import product

from sigma_bot.errors import BadInputError, nearest
from sigma_bot.kernel.struct import params_of
from sigma_bot.runtime.loader import Value, declared_at
from sigma_bot.strategy import Strategy

MOST_VALUES = 10_000
MOST_COMBINATIONS = 100_000
FORMS = "write NAME=FIRST:LAST:STEP, like fast=5:50:5, or NAME=A,B,C"


@dataclass(frozen=True)
class Axis:
    """One parameter and the values to try, in order. ``text`` is what the user wrote."""

    name: str
    values: tuple[Value, ...]
    text: str


def parse_space(cls: type[Strategy], texts: Sequence[str]) -> tuple[Axis, ...]:
    """The axes of ``--param`` texts. Raises BadInputError."""
    if not texts:
        raise BadInputError(f"--param is missing: name at least one parameter to vary; {FORMS}")
    axes = tuple(parse_axis(cls, text) for text in texts)
    for i, axis in enumerate(axes):
        if any(axis.name == other.name for other in axes[:i]):
            raise BadInputError(f"--param {axis.text}: {axis.name} stands twice; give each parameter once")
    return axes


def parse_axis(cls: type[Strategy], text: str) -> Axis:
    """One ``--param`` text, each value of the declared type; bounds are checked run by run."""
    where = f"--param {text}"
    name, equals, body = (part.strip() for part in text.partition("="))
    if not equals or not name or not body:
        raise BadInputError(f"{where}: {FORMS}")
    known = params_of(cls)
    if name not in known:
        near = nearest(name, known) or (f"; it has {', '.join(known)}" if known else "; it has none")
        raise BadInputError(f"{where}: {cls.__name__} has no parameter {name!r}{near} ({declared_at(cls)})")
    kind = cls.__fields__[name]
    if kind is bool or ":" not in body:
        values: Sequence[Value] = [listed(kind, part.strip(), where) for part in body.split(",")]
    else:
        values = ranged(kind, body, where)
    if len(set(values)) < len(values):
        raise BadInputError(f"{where}: a value stands twice")
    return Axis(name, tuple(values), text)


def listed(kind: type, text: str, where: str) -> Value:
    """One value of a list."""
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise BadInputError(f"{where}: must be true or false, got {text!r}; write NAME=true,false")
        return text.lower() == "true"
    return typed(kind, number(text, where), where)


def ranged(kind: type, body: str, where: str) -> list[Value]:
    """The values of ``FIRST:LAST:STEP``; the last one is met when the steps do. Decimals, so that 0.1:0.5:0.1
    gives 0.3 and not its neighbour."""
    parts = [number(part.strip(), where) for part in body.split(":")]
    if len(parts) not in (2, 3):
        raise BadInputError(f"{where}: {FORMS}")
    if len(parts) == 2 and kind is not int:
        raise BadInputError(f"{where}: a step is missing; {FORMS}")
    first, last = parts[:2]
    step = parts[2] if len(parts) == 3 else Decimal(1)
    if step <= 0:
        raise BadInputError(f"{where}: the step must be above 0, got {step}")
    if last < first:
        raise BadInputError(f"{where}: the last value {last} lies below the first {first}")
    count = int((last - first) / step) + 1
    if count > MOST_VALUES:
        raise BadInputError(
            f"{where}: {count:,} values are too many (at most {MOST_VALUES:,}); widen the step"
        )
    return [typed(kind, first + i * step, where) for i in range(count)]


def number(text: str, where: str) -> Decimal:
    """A finite decimal."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        raise BadInputError(f"{where}: {text!r} is no number; {FORMS}")
    return value


def typed(kind: type, value: Decimal, where: str) -> Value:
    """A value in the parameter's declared type."""
    if kind is int:
        if value != value.to_integral_value():
            raise BadInputError(f"{where}: must be whole numbers, got {value}")
        return int(value)
    return float(value)


def size_of(axes: Sequence[Axis]) -> int:
    """Number of combinations."""
    return math.prod(len(axis.values) for axis in axes)


def grid(axes: Sequence[Axis], limit: int | None) -> list[dict[str, Value]]:
    """Every combination, the last parameter varying fastest. ``limit`` None means 100,000."""
    most, total = limit or MOST_COMBINATIONS, size_of(axes)
    if total > most:
        shape = " x ".join(str(len(axis.values)) for axis in axes)
        raise BadInputError(
            f"the grid has {total:,} combinations ({shape}), more than {most:,}; widen the steps, "
            f"try some of them with --trials 1000 --sampler tpe, or allow them all with --trials {total}"
        )
    return list(combinations(axes))


def combinations(axes: Sequence[Axis]) -> Iterator[dict[str, Value]]:
    """Every combination."""
    names = [axis.name for axis in axes]
    return (dict(zip(names, values, strict=True)) for values in product(*(axis.values for axis in axes)))


def drawn(axes: Sequence[Axis], trials: int, seed: int) -> list[dict[str, Value]]:
    """``trials`` different combinations drawn at random; all of them when there are no more."""
    total = size_of(axes)
    if trials >= total:
        return list(combinations(axes))
    source = random.Random(seed)
    places: dict[int, None] = {}
    while len(places) < trials:
        places[source.randrange(total)] = None
    return [combination(axes, place) for place in places]


def combination(axes: Sequence[Axis], place: int) -> dict[str, Value]:
    """The combination at ``place`` of the grid."""
    found: dict[str, Value] = {}
    for axis in reversed(axes):
        place, i = divmod(place, len(axis.values))
        found[axis.name] = axis.values[i]
    return {axis.name: found[axis.name] for axis in axes}
