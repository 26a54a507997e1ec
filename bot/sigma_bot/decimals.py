"""Decimals as text, never with an exponent."""

from __future__ import annotations

from decimal import Decimal


def fixed_point(number: Decimal) -> str:
    """All its digits: ``0.00000001``, never ``1E-8``; ``5.00`` stays ``5.00``."""
    return format(number, "f")


def trimmed(number: Decimal | int) -> str:
    """Without idle zeros: ``0.004``, ``67000000``."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
