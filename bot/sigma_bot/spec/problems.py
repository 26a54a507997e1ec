"""Errors of pydantic in the words of a manifest: the place, the value, and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sigma_bot.errors import nearest
from sigma_bot.spec.blocks import Block
from sigma_bot.spec.units import show

Loc = tuple[str | int, ...]


def dotted(loc: Loc) -> str:
    """``("spec", "markets", 0, "symbol")`` as ``spec.markets[0].symbol``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "manifest"


def problems_of(e: ValidationError, model: type[Block]) -> Iterator[tuple[Loc, str]]:
    """Every problem in a failed validation of ``model``: where, and what would be right."""
    errors = [
        (tuple(p for p in error["loc"] if p != "[key]"), error) for error in e.errors(include_url=False)
    ]
    for loc, error in errors:
        # Entries that are wrong themselves are not counted by pydantic: the list is not really too short.
        if error["type"] == "too_short" and any(other[: len(loc)] == loc != other for other, _ in errors):
            continue
        if error["type"] == "cross":
            for where, text in error["ctx"]["found"]:
                yield (*loc, *where), text
        else:
            yield loc, _message(error, loc, model)


def _message(error: ErrorDetails, loc: Loc, model: type[Block]) -> str:
    """What is wrong and what would be right, in our words, for an error of pydantic's."""
    kind, got, ctx = error["type"], show(error["input"]), error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown field{_where_it_belongs(str(loc[-1]), loc[:-1], model)}"
    if kind == "missing":
        return f"is missing: {_description(loc, model)}"
    texts = {
        "literal_error": lambda: f"must be {ctx['expected']}, got {got}{_near(error['input'], loc, model)}",
        "string_type": lambda: f'must be text, got {got}: put it in quotes, "{got}"',
        "bool_type": lambda: f"must be true or false, got {got}",
        "int_type": lambda: f"must be a whole number without quotes, got {got}",
        "greater_than_equal": lambda: f"must be at least {ctx['ge']}, got {got}",
        "less_than_equal": lambda: f"must be at most {ctx['le']}, got {got}",
        "tuple_type": lambda: f'must be a list (lines that begin with "- "), got {got}',
        "dict_type": lambda: f'must be a mapping (lines like "name: value"), got {got}',
        "model_type": lambda: f'must be a mapping (lines like "name: value"), got {got}',
        "too_long": lambda: f"must have at most {ctx['max_length']} entries, got {ctx['actual_length']}",
        "too_short": lambda: f"must have at least {ctx['min_length']} entry, got {ctx['actual_length']}",
    }
    return texts[kind]() if kind in texts else str(error["msg"])


def _blocks(annotation: Any) -> Iterator[type[Block]]:
    """The block types inside an annotation such as ``Annotated[tuple[Market, ...], ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        yield annotation
    for argument in get_args(annotation):
        yield from _blocks(argument)


def _block_at(loc: Loc, model: type[Block]) -> type[Block] | None:
    block: type[Block] | None = model
    for part in loc:
        if block is None or isinstance(part, int):
            continue
        name = block.yaml_names().get(part)
        block = None if name is None else next(_blocks(block.model_fields[name].annotation), None)
    return block


def _places(model: type[Block], prefix: str = "") -> Iterator[tuple[str, str]]:
    for yaml_name, name in model.yaml_names().items():
        yield yaml_name, prefix
        for block in _blocks(model.model_fields[name].annotation):
            yield from _places(block, f"{prefix}.{yaml_name}".removeprefix("."))


def _where_it_belongs(field: str, loc: Loc, model: type[Block]) -> str:
    block = _block_at(loc, model)
    known = [] if block is None else list(block.yaml_names())
    if near := nearest(field, known):
        return near
    elsewhere = sorted({place for name, place in _places(model) if name == field and place})
    if elsewhere:
        return f"; it belongs in {' or '.join(elsewhere)}"
    return f"; known here: {', '.join(known)}"


def _description(loc: Loc, model: type[Block]) -> str:
    block = _block_at(loc[:-1], model)
    name = None if block is None else block.yaml_names().get(str(loc[-1]))
    if block is None or name is None:
        return "needed here"
    text = block.model_fields[name].description or "needed here"
    return text[0].lower() + text[1:].partition(". ")[0].rstrip(".").replace("\n", " ")


def _near(value: object, loc: Loc, model: type[Block]) -> str:
    block = _block_at(loc[:-1], model)
    name = None if block is None else block.yaml_names().get(str(loc[-1]))
    if not isinstance(value, str) or block is None or name is None:
        return ""
    return nearest(value, [str(v) for v in _choices(block.model_fields[name].annotation)])


def _choices(annotation: Any) -> Iterator[object]:
    for argument in get_args(annotation):
        if isinstance(argument, str):
            yield argument
        else:
            yield from _choices(argument)
