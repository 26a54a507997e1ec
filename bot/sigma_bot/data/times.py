"""Times of files to int64 nanoseconds since 1970 UTC.

The rule is found on the first values and then applied to every batch: ISO text, ``day/month/year`` text,
epochs in s, ms, us or ns (told apart by magnitude: seconds below 1e11, so until the year 5138), Arrow
timestamps and dates. A time that does not say its zone is refused unless the user names one; a date without
a time of day is 00:00 UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sigma_bot.data.arrow import array_of, values
from sigma_bot.errors import BadInputError

UNITS = (("s", 1e11, 1_000_000_000), ("ms", 1e14, 1_000_000), ("us", 1e17, 1_000), ("ns", float("inf"), 1))
_DATE = r"(\d{4})([-/.])(\d{2})\2(\d{2})"
_CLOCK = r"\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?"
_ZONE = r"(Z|z|UTC|GMT|[+-]\d{2}:?(\d{2})?)"
ISO = re.compile(rf"^{_DATE}([T ]{_CLOCK}\s*{_ZONE}?)?$")
SLASHED = re.compile(rf"^(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}})([T ]{_CLOCK})?$")
COMPACT = re.compile(r"^\d{8}([T ]\d{2}:?\d{2}:?\d{2})?$")
INTEGER = re.compile(r"^-?\d{9,20}$")
SHORTEST = 1e8  # years and the day numbers of spreadsheets are smaller; no epoch since March 1973 is
FRACTION = re.compile(r"^-?\d{9,20}\.\d+$")


@dataclass(frozen=True)
class TimeRule:
    """How a time column becomes nanoseconds. ``convert`` takes an Arrow array without nulls."""

    convert: Callable[[Any], np.ndarray]
    dates: bool = False  # dates without a time of day
    text: str = ""


def unit_of(value: float) -> int:
    """Nanoseconds in one unit of an epoch of this magnitude."""
    return next(scale for _, limit, scale in UNITS if abs(value) < limit)


def _one_unit(numbers: np.ndarray, scale: int) -> np.ndarray:
    """The numbers, when all are epochs of the unit ``scale``: a file that changes its unit is not guessed."""
    size = np.abs(numbers)
    bounds = {unit: limit for _, limit, unit in UNITS}
    low = max((limit for limit in bounds.values() if limit < bounds[scale]), default=SHORTEST)
    if not ((size >= low) & (size < bounds[scale])).all():
        raise pa.ArrowInvalid("an epoch of another unit")
    return numbers


def fixed_offset(timezone: str) -> int | None:
    """Nanoseconds east of UTC for ``UTC``, ``Z`` or ``+09:00``; None for a named zone."""
    if timezone.upper() in ("UTC", "Z", "GMT"):
        return 0
    m = re.match(r"^([+-])(\d{2}):?(\d{2})$", timezone)
    if m is None:
        return None
    minutes = int(m[2]) * 60 + int(m[3])
    return (1 if m[1] == "+" else -1) * minutes * 60_000_000_000


def localise(local: np.ndarray, timezone: str) -> np.ndarray:
    """Wall-clock nanoseconds of a zone to UTC. A time that happens twice or never there is refused."""
    offset = fixed_offset(timezone)
    if offset is not None:
        return local - offset
    stamps = array_of(local, pa.timestamp("ns"))
    try:
        return values(pc.assume_timezone(stamps, timezone))
    except pa.ArrowInvalid as error:
        text = str(error)
        if "locate timezone" in text or "not found" in text:
            raise BadInputError(
                f"timezone: {timezone!r} is unknown here; use a name such as Asia/Seoul, America/New_York, "
                "or an offset such as +09:00"
            ) from None
        raise BadInputError(
            f"timezone {timezone}: {text.splitlines()[0]}; where clocks change, a local time is not one "
            "instant: give the file's times in UTC"
        ) from None


def _ints(array: Any) -> np.ndarray:
    return values(array.cast(pa.int64()))


def rule_for(sample: Any, timezone: str | None, where: str) -> TimeRule:
    """The rule for a column, from its type and its first values. ``where`` starts every message."""
    kind = sample.type
    if pa.types.is_timestamp(kind):
        return _arrow_rule(kind, timezone, where, sample)
    if pa.types.is_date(kind):
        return TimeRule(lambda a: _ints(a.cast(pa.timestamp("ns"))), dates=True, text="dates")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        first = float(sample[0].as_py())
        if pa.types.is_integer(kind) and 19000101 <= first <= 21001231:
            text = _text_rule(sample.cast(pa.string()), timezone, where)
            return replace(text, convert=lambda a: text.convert(a.cast(pa.string())))
        if not abs(first) >= SHORTEST:
            raise _no_time(where, sample[0].as_py())
        scale = unit_of(first)
        if pa.types.is_integer(kind):
            return TimeRule(lambda a: _one_unit(_ints(a), scale) * scale, text="epoch")
        # a double holds epoch seconds to about 0.2 us, so microseconds are all that can be meant
        return TimeRule(
            lambda a: np.rint(_one_unit(values(a), scale) * (scale / 1e3)).astype(np.int64) * 1000,
            text="epoch",
        )
    return _text_rule(sample.cast(pa.string()), timezone, where)


def _arrow_rule(kind: Any, timezone: str | None, where: str, sample: Any) -> TimeRule:
    if kind.tz is not None:
        return TimeRule(lambda a: _ints(a.cast(pa.timestamp("ns", kind.tz))), text="timestamps")
    if timezone is None:
        raise _naive(where, str(sample[0]))
    return TimeRule(lambda a: localise(_ints(a.cast(pa.timestamp("ns"))), timezone), text="timestamps")


def _naive(where: str, value: str) -> BadInputError:
    return BadInputError(
        f"{where}: the time {value!r} does not say its time zone; name it with timezone: "
        "(UTC, +09:00, America/New_York; --timezone in sigma data)"
    )


def _text_rule(sample: Any, timezone: str | None, where: str) -> TimeRule:
    value = sample[0].as_py().strip()
    iso, compact = ISO.match(value), COMPACT.match(value)
    if compact:
        return _compact(bool(compact[1]), timezone, where, value)
    if INTEGER.match(value):
        scale = unit_of(float(value))
        return TimeRule(lambda a: _one_unit(_ints(pc.utf8_trim_whitespace(a)), scale) * scale, text="epoch")
    if FRACTION.match(value):
        return _fractions(unit_of(float(value)))
    if iso:
        return _iso(iso, timezone, where, value)
    if SLASHED.match(value):
        return _slashed(sample, timezone, where, value)
    raise _no_time(where, value)


def _no_time(where: str, value: object) -> BadInputError:
    return BadInputError(
        f"{where}: {value!r} is no time that is understood; right would be 2024-01-31T09:30:00Z, "
        "2024-01-31 09:30:00 with a timezone, 2024-01-31, or an epoch in s, ms, us or ns"
    )


def _fractions(scale: int) -> TimeRule:
    """Epochs with decimals, exact: read as decimals of so many digits that their integers are ns."""
    digits = len(str(scale)) - 1

    def convert(a: Any) -> np.ndarray:
        _one_unit(values(a.cast(pa.float64())), scale)  # another unit could pass 63 bits below
        decimal = a.cast(pa.decimal128(38, digits))
        # decimal128 is two little-endian words; the upper one is the sign here, since the values fit in 63
        # bits
        words = np.frombuffer(decimal.buffers()[1], np.int64)
        whole = words[decimal.offset * 2 : (decimal.offset + len(decimal)) * 2 : 2]
        return whole.copy()

    return TimeRule(convert, text="epoch")


def _iso(m: re.Match[str], timezone: str | None, where: str, value: str) -> TimeRule:
    dates, zoned, separator = m[5] is None, m[8] is not None, m[2]
    kind = pa.timestamp("ns", "UTC") if zoned else pa.timestamp("ns")

    def tidied(a: Any) -> Any:
        a = pc.utf8_trim_whitespace(a)
        if separator != "-":
            a = pc.replace_substring(a, separator, "-", max_replacements=2)
        a = pc.replace_substring(a, ",", ".")
        if zoned:
            a = pc.replace_substring_regex(a, r"\s*(UTC|GMT|z)$", "Z")
            a = pc.replace_substring_regex(a, r"\s+([+-])", r"\1")
        return a

    def instants(a: Any) -> np.ndarray:
        try:
            return values(a.cast(kind))
        except pa.ArrowInvalid:  # most files need no tidying
            return values(tidied(a).cast(kind))

    if dates or zoned:
        return TimeRule(instants, dates=dates, text="dates" if dates else "text")
    if timezone is None:
        raise _naive(where, value)
    return TimeRule(lambda a: localise(instants(a), timezone), text="text")


def _compact(clock: bool, timezone: str | None, where: str, value: str) -> TimeRule:
    if clock and timezone is None:
        raise _naive(where, value)

    def convert(a: Any) -> np.ndarray:
        a = pc.replace_substring_regex(pc.utf8_trim_whitespace(a), r"^(\d{4})(\d{2})(\d{2})", r"\1-\2-\3")
        a = pc.replace_substring_regex(a, r"(\d{2}):?(\d{2}):?(\d{2})$", r"\1:\2:\3") if clock else a
        local = _ints(a.cast(pa.timestamp("ns")))
        return localise(local, timezone) if clock and timezone is not None else local

    return TimeRule(convert, dates=not clock, text="text")


def _slashed(sample: Any, timezone: str | None, where: str, value: str) -> TimeRule:
    """``1/31/1999`` or ``31/1/1999``: the first values must show which number is the month."""
    clock = SLASHED.match(value)[5] is not None  # type: ignore[index]
    if clock and timezone is None:
        raise _naive(where, value)
    parts = [SLASHED.match(v.as_py().strip()) for v in sample]
    firsts = {int(m[1]) for m in parts if m}
    seconds = {int(m[3]) for m in parts if m}
    if (max(firsts) > 12) == (max(seconds) > 12):
        raise BadInputError(
            f"{where}: the date {value!r} does not show which number is the day; write dates as 1999-01-31"
        )
    month, day = (r"\1", r"\2") if max(seconds) > 12 else (r"\2", r"\1")

    def convert(a: Any) -> np.ndarray:
        a = pc.replace_substring_regex(pc.utf8_trim_whitespace(a), r"^(\d)([/.-])", r"0\1\2")
        a = pc.replace_substring_regex(
            a, r"([/.-])(\d)([/.-])", r"\10\2\3"
        )  # one digit names a group here: \1, 0
        a = pc.replace_substring_regex(a, r"^(\d{2})[/.-](\d{2})[/.-](\d{4})", rf"\3-{month}-{day}")
        local = _ints(a.cast(pa.timestamp("ns")))
        return localise(local, timezone) if clock and timezone is not None else local

    return TimeRule(convert, dates=not clock, text="text")
