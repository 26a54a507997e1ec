"""The texts of a manifest that stand for numbers: amounts, durations, instants, offsets.

Each is kept as it was written, so a manifest read and written again is the same manifest. Each says in its
error what would be right, and gives its own JSON schema, so the CRDs can be generated from the types.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, ClassVar, NoReturn, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue as Schema
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import (
    no_info_plain_validator_function,
    plain_serializer_function_ser_schema,
    to_string_ser_schema,
)

from sigma_bot.decimals import fixed_point
from sigma_bot.times import DAY, EPOCH, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND

UNITS = {
    "ns": 1,
    "us": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
    "d": DAY,
    "w": 7 * DAY,
}
_DURATION = r"(0|[1-9][0-9]{0,17})(ns|us|ms|s|m|h|d|w)"
_DECIMAL = r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?"
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_LONGEST = 36_500 * DAY


def wrong(message: str) -> NoReturn:
    """Report one problem of the value at hand; the place is added by whoever reads the manifest."""
    # Braces in the text would be taken for placeholders of pydantic's own formatting.
    raise PydanticCustomError("sigma", "{message}", {"message": message})


def parse_duration(text: str) -> int:
    """Nanoseconds of ``"100ms"``, ``"30s"``, ``"5m"``, ``"1h"``, ``"1d"``. Else raises ValueError."""
    match = re.fullmatch(_DURATION, text)
    if match is None:
        raise ValueError('must be a whole number and a unit: "100ms", "30s", "5m", "1h" or "1d"')
    ns = int(match[1]) * UNITS[match[2]]
    if ns > _LONGEST:
        raise ValueError('must be at most 100 years ("36500d")')
    return ns


def _instant(text: str) -> datetime:
    example = '"2024-01-31" or, with a time and its offset, "2024-01-31T09:00:00Z"'
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"must be a date: {example}") from None
    if _DATE.fullmatch(text) is not None:
        when = when.replace(tzinfo=UTC)
    elif when.tzinfo is None:
        raise ValueError(f'must say its offset from UTC: "{text}Z", or "{text}+09:00"')
    if not 1970 <= when.astimezone(UTC).year < 2200:
        raise ValueError("must lie between 1970 and 2199")
    return when


class Text(str):
    """A text with a meaning. Subclasses check it in ``parse`` (ValueError says what would be right)."""

    __slots__ = ()
    schema: ClassVar[Mapping[str, Any]] = {}
    example: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> object:
        """The meaning of ``text``."""
        raise NotImplementedError

    @classmethod
    def _validate(cls, value: object) -> Self:
        if not isinstance(value, str):
            wrong(f'must be text like "{cls.example}", got {show(value)}')
        try:
            cls.parse(value)
        except ValueError as e:
            wrong(f"{e}, got {show(value)}")
        return cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(cls._validate, serialization=to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {"type": "string", **cls.schema}


class Duration(Text):
    """``"100ms"``, ``"5m"``, ``"1d"``; ``ns`` is its length in nanoseconds."""

    __slots__ = ()
    schema = {"pattern": f"^{_DURATION}$"}
    example = "5m"
    parse = staticmethod(parse_duration)

    @property
    def ns(self) -> int:
        """Nanoseconds."""
        return parse_duration(self)


class Instant(Text):
    """A date (its first instant in UTC) or a time with its offset."""

    __slots__ = ()
    schema = {"pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+))?$"}
    example = "2024-01-31"
    parse = staticmethod(_instant)

    @property
    def is_date(self) -> bool:
        """A whole day, without a time."""
        return _DATE.fullmatch(self) is not None

    @property
    def ns(self) -> int:
        """Nanoseconds since 1970 UTC; of a date, its first instant."""
        return (_instant(self) - EPOCH) // timedelta(microseconds=1) * 1000

    @property
    def end_ns(self) -> int:
        """Nanoseconds since 1970 UTC; of a date, the first instant of the next day."""
        return self.ns + (DAY if self.is_date else 0)


def _offset(text: str) -> timezone:
    match = re.fullmatch(r"([+-])(0\d|1[0-4]):([0-5]\d)", text)
    if match is None:
        raise ValueError('must be an offset from UTC like "+09:00"')
    size = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(size if match[1] == "+" else -size)


class UtcOffset(Text):
    """``"+09:00"``; ``ns`` is what is added to UTC."""

    __slots__ = ()
    schema = {"pattern": "^[+-](0[0-9]|1[0-4]):[0-5][0-9]$"}
    example = "+09:00"
    parse = staticmethod(_offset)

    @property
    def ns(self) -> int:
        """Nanoseconds, negative west of Greenwich."""
        return _offset(self).utcoffset(None) // timedelta(microseconds=1) * 1000


@dataclass(frozen=True)
class DecimalText:
    """Marks a ``Decimal`` that a manifest writes as text, with its bounds.

    A number is refused: YAML would hand it over as a binary float, which is another amount. No exponent, no
    sign but a minus, no leading zero, so the text of the Decimal is the text that was read.
    """

    ge: str = "0"
    gt: str | None = None
    le: str = "100000000000000000"
    decimals: int = 12
    example: str = "0.01"

    def check(self, value: object) -> Decimal:
        """The Decimal of ``value`` inside the bounds."""
        if isinstance(value, Decimal):
            number = value
        elif isinstance(value, str):
            if re.fullmatch(f"-?{_DECIMAL}", value) is None:
                wrong(f'must be a decimal number like "{self.example}", got {show(value)}{_hint(value)}')
            number = Decimal(value)
        else:
            text = _as_text(value) or self.example
            wrong(f'must be text, got {show(value)}: write it as text: "{text}"')
        self._bounds(number)
        return number

    def _bounds(self, number: Decimal) -> None:
        if not number.is_finite():
            wrong(f"must be a finite number, got {number}")
        if self.gt is not None and not number > Decimal(self.gt):
            wrong(f'must be above {self.gt}, got "{fixed_point(number)}"')
        if self.gt is None and not number >= Decimal(self.ge):
            wrong(f'must be at least {self.ge}, got "{fixed_point(number)}"')
        if not number <= Decimal(self.le):
            note = ' (a fraction: one percent is "0.01")' if self.le in ("1", "0.1") else ""
            wrong(f'must be at most {self.le}, got "{fixed_point(number)}"{note}')
        if -int(number.as_tuple().exponent) > self.decimals:
            wrong(f'must have at most {self.decimals} decimals, got "{fixed_point(number)}"')

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(
            self.check, serialization=plain_serializer_function_ser_schema(fixed_point)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        sign = "-?" if self.gt is None and Decimal(self.ge) < 0 else ""
        return {"type": "string", "pattern": f"^{sign}{_DECIMAL}$"}


def _as_text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return ""
    return fixed_point(Decimal(str(value)))


def _hint(text: str) -> str:
    bare = text.strip().replace(",", "").replace("_", "").removesuffix("%").strip().removeprefix("+")
    try:
        number = Decimal(bare) / (100 if text.strip().endswith("%") else 1)
    except ArithmeticError:
        return ""
    return f'; write "{fixed_point(number)}"' if number.is_finite() and abs(number.adjusted()) <= 18 else ""


def show(value: object) -> str:
    """A value as a message quotes it: texts in double quotes, YAML's words for the rest, cut short."""
    if isinstance(value, str):
        text = f'"{value}"'
    elif value is None or isinstance(value, bool):
        text = {None: "nothing", True: "true", False: "false"}[value]
    elif isinstance(value, Mapping):
        text = "a mapping"
    elif isinstance(value, list):
        text = "a list"
    else:
        text = str(value)
    return text if len(text) <= 60 else text[:56] + '..."'


@dataclass(frozen=True)
class Words:
    """Marks a text of a given form; ``say`` is what the error calls it."""

    pattern: str
    say: str

    def check(self, value: object) -> str:
        """``value`` when it has the form."""
        if not isinstance(value, str):
            wrong(f'must be text, got {show(value)}: put it in quotes, "{show(value)}"')
        if re.fullmatch(self.pattern, value) is None:
            wrong(f"must be {self.say}, got {show(value)}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(self.check, serialization=to_string_ser_schema())

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {"type": "string", "pattern": f"^({self.pattern})$"}


@dataclass(frozen=True)
class Between:
    """Marks a ``Duration`` with bounds."""

    ge: str
    le: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(self.check, serialization=to_string_ser_schema())

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {"type": "string", **Duration.schema}

    def check(self, value: object) -> Duration:
        """The Duration of ``value`` inside the bounds."""
        duration = Duration._validate(value)
        if not parse_duration(self.ge) <= duration.ns <= parse_duration(self.le):
            wrong(f'must be from {self.ge} to {self.le}, got "{duration}"')
        return duration


def _scalar(value: object) -> bool | int | float:
    if isinstance(value, (bool, int)):
        if not -(2**63) <= value < 2**63:
            wrong(f"must fit 64 bits, got {value}")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            wrong(f"must be a finite number, got {value}")
        return value
    wrong(f"must be a number, true or false, got {show(value)}")


@dataclass(frozen=True, eq=False)
class Plain:
    """Marks a value with its own check and JSON schema."""

    check: Callable[[object], Any]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return dict(self.schema)


Amount = Annotated[Decimal, DecimalText(example="10000")]
PositiveAmount = Annotated[Decimal, DecimalText(gt="0", example="10000")]
Step = Annotated[Decimal, DecimalText(gt="0", le="1000000000000", example="0.01")]
Fraction = Annotated[Decimal, DecimalText(le="1", decimals=8, example="0.01")]
SmallFraction = Annotated[Decimal, DecimalText(le="0.1", decimals=8, example="0.001")]
Rebate = Annotated[Decimal, DecimalText(ge="-0.1", le="0.1", decimals=8, example="0.001")]
Timeframe = Annotated[Duration, Between("100ms", "7d")]
ParamValue = Annotated[bool | int | float, Plain(_scalar, {"x-kubernetes-preserve-unknown-fields": True})]
