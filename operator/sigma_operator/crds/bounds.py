"""Bounds of decimal texts and durations, which are annotations of the types, as CEL rules of the value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_args

from sigma_bot.spec.units import UNITS, Between, DecimalText, parse_duration
from sigma_operator.crds.cel import Rule, Schema


def annotated_metadata(annotation: object) -> Iterator[object]:
    """What stands inside `Annotated[...]` of a type, through unions; not inside its items."""
    yield from getattr(annotation, "__metadata__", ())
    if getattr(annotation, "__origin__", None) not in (tuple, dict, list):
        for part in get_args(annotation):
            yield from annotated_metadata(part)


def item_metadata(annotation: object) -> Iterator[object]:
    """What stands inside `Annotated[...]` of the items of a tuple."""
    if getattr(annotation, "__origin__", None) is tuple:
        yield from annotated_metadata(get_args(annotation)[0])
    else:
        for part in get_args(annotation):
            yield from item_metadata(part)


def _decimal_rules(bound: DecimalText) -> Iterator[Rule]:
    if bound.gt is not None:
        yield Rule(f"double(self) > {float(bound.gt)}", f"must be above {bound.gt}")
    elif bound.ge is not None and bound.ge != "0":
        yield Rule(f"double(self) >= {float(bound.ge)}", f"must be at least {bound.ge}")
    if bound.le is not None:
        hint = ' (a fraction: one percent is "0.01")' if bound.le in ("1", "0.1") else ""
        yield Rule(f"double(self) <= {float(bound.le)}", f"must be at most {bound.le}{hint}")


def _duration_rule(bound: Between) -> Rule:
    units = ", ".join(f"'{name}': {float(ns)}" for name, ns in UNITS.items())
    length = f"double(self.find('^[0-9]+')) * {{{units}}}[self.find('[a-z]+$')]"
    low, high = float(parse_duration(bound.ge)), float(parse_duration(bound.le))
    return Rule(f"{length} >= {low} && {length} <= {high}", f"must be from {bound.ge} to {bound.le}")


def bound_rules(found: Iterable[object]) -> list[Schema]:
    """CEL for the bounds among these annotations, which a JSON schema does not carry."""
    rules: list[Rule] = []
    for annotation in found:
        if isinstance(annotation, DecimalText):
            rules += _decimal_rules(annotation)
        elif isinstance(annotation, Between):
            rules.append(_duration_rule(annotation))
    return [rule.schema() for rule in rules]
