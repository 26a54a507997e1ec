"""Two results side by side."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from sigma_bot.metrics.definitions import DEFINITIONS, Kind, Metric


class Comparison(NamedTuple):
    """One metric of two results; ``difference`` is ``b - a``, None where there is nothing to subtract."""

    name: str
    a: Metric
    b: Metric
    difference: Metric

    @property
    def label(self) -> str:
        """What people call the metric."""
        return DEFINITIONS[self.name].label if self.name in DEFINITIONS else self.name

    @property
    def kind(self) -> Kind:
        """Its unit; a metric that this version does not know is taken for a ratio."""
        return DEFINITIONS[self.name].kind if self.name in DEFINITIONS else "ratio"


def compare(a: Mapping[str, Metric], b: Mapping[str, Metric]) -> list[Comparison]:
    """Metrics of ``a`` and ``b`` in a report's order, then those that only another version knows.

    Money may be a Decimal or, as it comes out of JSON or a store, decimal text; it is subtracted exactly.
    """
    known = [name for name in DEFINITIONS if name in a or name in b]
    names = [*known, *(name for name in dict.fromkeys((*a, *b)) if name not in DEFINITIONS)]
    rows = (Comparison(name, _value(name, a.get(name)), _value(name, b.get(name)), None) for name in names)
    return [row._replace(difference=_difference(row.a, row.b)) for row in rows]


def _value(name: str, value: Metric) -> Metric:
    """Decimal text of a money metric as the number it says."""
    if isinstance(value, str) and name in DEFINITIONS and DEFINITIONS[name].kind == "money":
        try:
            return Decimal(value)
        except InvalidOperation as error:
            raise ValueError(f"metric {name}: {value!r} is no amount of money") from error
    return value


def _difference(a: Metric, b: Metric) -> Metric:
    if a is None or b is None or isinstance(a, str) or isinstance(b, str):
        return None
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return Decimal(b) - Decimal(a)
    return b - a
