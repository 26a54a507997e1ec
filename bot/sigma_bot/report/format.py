"""Values as text: exact for machines, short for people."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sigma_bot.decimals import fixed_point
from sigma_bot.metrics.definitions import Kind, Metric
from sigma_bot.times import SECOND

UNITS: tuple[tuple[int, Literal["s", "ms", "us", "ns"]], ...] = (
    (SECOND, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
    (1, "ns"),
)
NOTHING = "–"  # noqa: RUF001 - the sign a reader expects where there is no figure
MINUS = "−"  # noqa: RUF001 - as wide as a plus, so columns line up


def isos(times: NDArray[np.int64]) -> list[str]:
    """ISO 8601 UTC of ns since 1970, all with as many decimals as the finest of them needs."""
    unit = next(name for size, name in UNITS if not np.any(times % size))
    texts = np.datetime_as_string(times.astype("M8[ns]"), unit=unit)
    return [f"{text}Z" for text in texts.tolist()]


def period(start: int, end: int) -> str:
    """``2024-01-01 → 2024-06-15 16:00``: no finer than the run needs, to the second at most."""
    return " → ".join(clocks(np.asarray([start, end], dtype=np.int64)))


def clocks(times: NDArray[np.int64]) -> list[str]:
    """Times for a list, all as fine as the finest of them needs, to the second at most."""
    seconds = times // SECOND
    unit: Literal["D", "m", "s"] = "s" if np.any(seconds % 60) else "m" if np.any(seconds % 86_400) else "D"
    return [
        str(x).replace("T", " ") for x in np.datetime_as_string(times.astype("M8[ns]"), unit=unit).tolist()
    ]


def price(value: float) -> str | None:
    """Shortest decimal text that reads back as the same float; None when it is no number."""
    return fixed_point(Decimal(repr(float(value)))) if math.isfinite(value) else None


def prices(values: Iterable[float]) -> list[str | None]:
    """:func:`price` of many."""
    return [price(value) for value in values]


def short(value: float) -> str:
    """A price or another number for people: six significant digits, whole numbers in full."""
    if not math.isfinite(value):
        return NOTHING
    digits = 0 if value == 0 else max(0, 5 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(digits, 12)}f}"
    return _sign(text.rstrip("0").rstrip(".") if "." in text else text)


def duration(seconds: float) -> str:
    """A length of time in its two largest units: ``3d 4h``, ``12m 5s``, ``80ms``."""
    if seconds <= 0:
        return "0s"
    if seconds < 1:
        return f"{seconds * 1e3:.3g}ms"
    whole = round(seconds)
    parts: list[str] = []
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        if whole >= size or parts:
            parts.append(f"{whole // size}{name}")
            whole %= size
    return " ".join(part for part in parts[:2] if not part.startswith("0"))


def digits_of(initial: Decimal, precision: int) -> int:
    """Decimals that money is shown with: cents for an account of thousands, more for one of a few coins."""
    size = math.floor(math.log10(initial)) if initial > 0 else 0
    return min(precision, max(2, 5 - size))


def show(value: Metric, kind: Kind, currency: str = "", digits: int = 2) -> str:
    """A metric for people, money with ``digits`` decimals; an undefined one is a dash."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value[:-1].replace("T", " ").removesuffix(" 00:00:00") if kind == "time" else value
    if kind == "money":
        return _sign(f"{_positive_zero(f'{value:,.{digits}f}')} {currency}".rstrip())
    if kind == "percent":
        return f"{_sign(_grouped(float(value) * 100, 0.01))} %"
    texts = {"count": f"{value:,}", "seconds": duration(float(value))}
    return texts.get(kind) or _sign(_grouped(float(value)))


def _grouped(value: float, small: float = 0.1) -> str:
    """Two decimals, four below ``small``, none for huge values."""
    size = abs(value)
    if size >= 1e9:
        return f"{value:.3g}"
    digits = 0 if size >= 1e5 else 2 if size >= small or size == 0 else 4
    return _positive_zero(f"{value:,.{digits}f}")


def _positive_zero(text: str) -> str:
    return text if text.strip("-0.,") else text.removeprefix("-")


def _sign(text: str) -> str:
    return MINUS + text[1:] if text.startswith("-") else text
