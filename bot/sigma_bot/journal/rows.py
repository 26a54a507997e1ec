"""Records of the journal as rows of its tables and back, exactly. Pure: no driver is imported here.

A row holds what the driver takes: on PostgreSQL Decimals and bools as they are, on SQLite a decimal's digits
as text (it has no exact decimal). Both hold a payload as JSON text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Generic, TypeVar

from sigma_bot.database import codec
from sigma_bot.model.orders import EquityPoint, FillRow, InputRow, NoticeRow, OrderRow, State, Usage

R = TypeVar("R")
Encoder = Callable[[Any], Any]

SQL_TYPES = {
    "str": "text",
    "str | None": "text",
    "int": "bigint",
    "bool": "boolean",
    "Decimal": "numeric",
    "Decimal | None": "numeric",
    "State": "text",
    "dict[str, object]": "json",
}
"""PostgreSQL's type for each annotation that a record may carry."""


@dataclass(frozen=True)
class TableMapping(Generic[R]):
    """How one kind of record lies in its table: the table has a column for every field, of the same name."""

    table: str
    record: type[R]
    names: tuple[str, ...]
    annotations: tuple[str, ...]

    def rows(self, records: Iterable[R], sqlite: bool) -> list[list[Any]]:
        """One list of values per record, in the order of ``names``.

        Raises TypeError for money that is not a Decimal, ValueError for one that is no number.
        """
        encoders = [_encoder(annotation, sqlite) for annotation in self.annotations]
        parts = list(zip(self.names, encoders, strict=True))
        return [[encode(getattr(record, name)) for name, encode in parts] for record in records]

    def records(self, rows: Iterable[Sequence[Any]]) -> list[R]:
        """The records whose `rows` these are; values beyond ``names`` are ignored."""
        decoders = [_DECODERS[annotation] for annotation in self.annotations]
        return [
            self.record(*[decode(value) for decode, value in zip(decoders, row, strict=False)])
            for row in rows
        ]


def _mapping_of(table: str, record: type[R]) -> TableMapping[R]:
    listed = fields(record)  # type: ignore[arg-type]
    return TableMapping(
        table, record, tuple(field.name for field in listed), tuple(str(field.type) for field in listed)
    )


def text(value: str | None) -> str | None:
    """``value`` as both databases can hold it: PostgreSQL refuses NUL and half of a surrogate pair, and what
    a venue says is not ours to choose.
    """
    if value is None or (value.isascii() and "\x00" not in value):
        return value
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _exact(value: Decimal | None) -> Decimal | None:
    if value is None:
        return None
    if not isinstance(value, Decimal):
        raise TypeError(f"the journal takes a Decimal, not {type(value).__name__} ({value!r})")
    if not value.is_finite():
        raise ValueError(f"the journal takes a finite Decimal, not {value}")
    return value


def _digits(value: Decimal | None) -> str | None:
    exact = _exact(value)
    return None if exact is None else format(exact, "f")


def _encoder(annotation: str, sqlite: bool) -> Encoder:
    if annotation.startswith("Decimal"):
        return _digits if sqlite else _exact
    return _ENCODERS[annotation]


def _unchanged(value: Any) -> Any:
    return value


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


_ENCODERS: dict[str, Encoder] = {
    "str": text,
    "str | None": text,
    "int": _unchanged,
    "bool": bool,
    "State": lambda state: State(state).value,
    "dict[str, object]": codec.dump,
}
_DECODERS: dict[str, Encoder] = {
    "str": _unchanged,
    "str | None": _unchanged,
    "int": _unchanged,
    "bool": bool,
    "Decimal": Decimal,
    "Decimal | None": _decimal,
    "State": State,
    "dict[str, object]": codec.load,
}

ORDERS = _mapping_of("orders", OrderRow)
FILLS = _mapping_of("fills", FillRow)
INPUTS = _mapping_of("inputs", InputRow)
NOTICES = _mapping_of("notices", NoticeRow)
USAGE = _mapping_of("account_usage", Usage)
EQUITY = _mapping_of("bot_equity", EquityPoint)
