"""Rules that Upbit and Bithumb share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sigma_bot.venues.venue import Band, Bucket, band, header, is_count

ABOVE_100_WON = (
    ("100", "1"),
    ("5000", "5"),
    ("10000", "10"),
    ("50000", "50"),
    ("100000", "100"),
    ("500000", "500"),
    ("1000000", "1000"),
)
WON = frozenset(("KRW",))
_GROUPS = {"default": "default", "order": "order"}


def bands(*rows: tuple[str, str]) -> tuple[Band, ...]:
    """Price steps of won markets: these rows below 100 won, and what both venues have above."""
    return tuple(band(start, tick) for start, tick in (*rows, *ABOVE_100_WON))


def remaining(buckets: tuple[Bucket, ...]) -> Callable[[Mapping[str, str]], dict[str, int]]:
    """Reads of ``Remaining-Req: group=default; min=1800; sec=29`` how much of the group's second is used."""

    def usage(headers: Mapping[str, str]) -> dict[str, int]:
        parts = dict(part.strip().partition("=")[::2] for part in header(headers, "remaining-req").split(";"))
        group, left = parts.get("group", ""), parts.get("sec", "")
        bucket = next((b for b in buckets if b.name == _GROUPS.get(group, "public")), None)
        if bucket is None or not group or not is_count(left):
            return {}
        return {bucket.name: max(0, bucket.limit - int(left))}

    return usage
