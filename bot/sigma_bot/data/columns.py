"""Which column of a file is which: names are detected, or mapped by the user.

Names are compared without case, blanks and punctuation, so ``<CLOSE>``, ``Close`` and ``close`` are one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sigma_bot.errors import BadInputError, nearest

KINDS = ("bars", "quotes", "trades", "ticks")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# In order of preference. The first time of a group that is present wins.
TIMES = _words(
    "ts timestamp timestampns timestampms timestampus tsns tsms tsus datetime datetimeutc dateutc timeutc "
    "tsutc utc unix unixtime unixtimestamp epoch epochms dt gmttime"
)

OPEN_TIMES = _words(
    "opentime opentimestamp tsopen timeopen starttime barstart timeperiodstart start candledatetimeutc "
    "bartime"
)
LATE_TIMES = _words(
    "tslocal localtimestamp localtime localts receivetime tsrecv tsevent eventtime eventtimestamp "
    "exchangetime tradetime tstrade transacttime transactiontime"
)

CLOSE_TIMES = _words("closetime closetimestamp tsclose timeclose endtime barend timeperiodend end")
DATES = ("date", "day", "tradedate", "tradingday")
DAYTIMES = ("time", "timeofday", "hour")

ALIASES: dict[str, tuple[str, ...]] = {
    "open": ("open", "o", "openprice", "openingprice", "openpx", "first"),
    "high": ("high", "h", "highprice", "max", "highpx"),
    "low": ("low", "l", "lowprice", "min", "lowpx"),
    "close": ("close", "c", "closeprice", "closingprice", "tradeprice", "closepx"),
    "volume": _words(
        "volume v vol basevolume volumebase tickvolume tickvol candleacctradevolume volumefrom volumebtc"
    ),
    "bid": ("bid", "bidprice", "bestbid", "bestbidprice", "bidpx", "bidpx00", "b", "bid0price", "bidprice0"),
    "ask": _words("ask askprice bestask bestaskprice askpx askpx00 a offer offerprice ask0price askprice0"),
    "bid_size": _words(
        "bidsize bidqty bidamount bidvolume bidquantity bestbidqty bestbidsize bidsz bidsz00 bq bid0size"
    ),
    "ask_size": _words(
        "asksize askqty askamount askvolume askquantity bestaskqty bestasksize asksz asksz00 aq offersize"
    ),
    "last": ("last", "lastprice", "lastpx", "lasttrade"),
    "price": ("price", "p", "px", "tradeprice", "rate", "lastprice"),
    "size": _words("size qty quantity amount volume q sz lastqty lastsize tradevolume tradesize baseqty vol"),
    "id": ("tradeid", "id", "tid", "trdid", "sequentialid", "aggid", "aggtradeid"),
    "symbol": ("symbol", "ticker", "market", "instrument", "pair", "code", "instid", "sym"),
}
REQUIRED: dict[str, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close"),
    "quotes": ("bid", "ask"),
    "trades": ("price", "size"),
    "ticks": ("bid", "ask", "last"),
}
OPTIONAL: dict[str, tuple[str, ...]] = {
    "bars": ("volume",),
    "quotes": ("bid_size", "ask_size"),
    "trades": (),
    "ticks": ("bid_size", "ask_size", "volume", "low", "high"),
}
EXTRA: dict[str, tuple[str, ...]] = {
    "bars": (),
    "quotes": (),
    "trades": ("id",),
    "ticks": (),
}  # kept by imports
# Columns of order-book changes: such a file looks like trades and is none.
BOOK_COLUMNS = frozenset({"firstupdateid", "issnapshot", "orderid", "isbid", "action"})
CANONICAL = ("ts", "date", "time", "open_time", "close_time", *ALIASES)


def normalized(name: str) -> str:
    """Lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True)
class Layout:
    """How a file's columns are read. ``time`` names one column, or a date and a time-of-day column."""

    kind: str
    columns: dict[str, str]
    time: tuple[str, ...]
    stamps: str | None = None
    symbol: str | None = None


def check_mapping(mapping: Mapping[str, str], names: Sequence[str], where: str) -> None:
    """Every key of a user's mapping is a column we know, every value a column the file has."""
    for canonical, actual in mapping.items():
        if canonical not in CANONICAL:
            raise BadInputError(
                f"columns: {canonical!r} is not a column of ours{nearest(canonical, CANONICAL)}; "
                f"known are {', '.join(CANONICAL)}"
            )
        if actual not in names:
            raise BadInputError(
                f"{where}: there is no column {actual!r} (mapped to {canonical}){nearest(actual, names)}; "
                f"the file has {listed(names)}"
            )


def listed(names: Sequence[str]) -> str:
    """Column names for a message; a nameless column shows as its position."""
    return ", ".join(name if name else f"(column {i + 1}, no name)" for i, name in enumerate(names))


def _find(names: Sequence[str], aliases: Sequence[str], taken: frozenset[str] = frozenset()) -> str | None:
    by_plain = {normalized(name): name for name in reversed(names) if name not in taken}
    return next((by_plain[a] for a in aliases if a in by_plain), None)


def find_time(names: Sequence[str], mapping: Mapping[str, str]) -> tuple[tuple[str, ...], str | None]:
    """The time column (or date and time of day), and what its name says about open and close stamps."""
    for key, stamps in (("ts", None), ("open_time", "open"), ("close_time", "close")):
        if key in mapping:
            return (mapping[key],), stamps
    date = mapping.get("date") or _find(names, DATES)
    daytime = mapping.get("time") or _find(names, DAYTIMES)
    if "date" not in mapping:
        for aliases, stamps in ((OPEN_TIMES, "open"), (TIMES, None), (LATE_TIMES, None)):
            found = _find(names, aliases)
            if found is not None:
                return (found,), stamps
    whole = tuple(name for name in (date, daytime) if name is not None)
    if whole:
        return whole, None
    found = _find(names, CLOSE_TIMES)
    index = names[:1] if names and not names[0].strip() else ()  # an index written without a name
    return ((found,), "close") if found is not None else (tuple(index), None)


def detect(
    names: Sequence[str], where: str, kind: str = "auto", mapping: Mapping[str, str] | None = None
) -> Layout:
    """The layout of a file with these column names.

    Raises BadInputError naming the missing column, the columns present and the nearest of them.
    """
    mapping = dict(mapping or {})
    check_mapping(mapping, names, where)
    if kind != "auto" and kind not in KINDS:
        raise BadInputError(f"kind: {kind!r} is not one of auto, {', '.join(KINDS)}{nearest(kind, KINDS)}")
    time, stamps = find_time(names, mapping)
    found = {}
    for canonical, aliases in ALIASES.items():
        actual = mapping.get(canonical) or _find(names, aliases, frozenset(time))
        if actual is not None:
            found[canonical] = actual
    if kind == "auto":
        kind = _kind_of(names, found, where)
    missing = [name for name in REQUIRED[kind] if name not in found]
    if not time:
        missing.insert(0, "ts")
    if missing:
        hint = nearest(missing[0], [n for n in names if n not in found.values()])
        raise BadInputError(
            f"{where}: {kind} need a column {missing[0]!r} and the file has {listed(names)}{hint}; "
            f"map it with columns: {{{missing[0]}: NAME}} (or --column {missing[0]}=NAME)"
        )
    ours = (*REQUIRED[kind], *OPTIONAL[kind], *EXTRA[kind])
    columns = {name: found[name] for name in ours if name in found}
    return Layout(kind, columns, time, stamps, mapping.get("symbol") or found.get("symbol"))


def _kind_of(names: Sequence[str], found: Mapping[str, str], where: str) -> str:
    if BOOK_COLUMNS & {normalized(n) for n in names} and not {"bid", "ask"} <= found.keys():
        raise BadInputError(
            f"{where}: holds order-book changes ({listed(names)}), which are not read; "
            "quotes (best bid and ask), trades, bars or ticks are"
        )
    for kind in ("ticks", "bars", "quotes", "trades"):
        if all(name in found for name in REQUIRED[kind]):
            return kind
    raise BadInputError(
        f"{where}: the columns {listed(names)} are neither bars (open, high, low, close), quotes (bid, ask), "
        "trades (price, size) nor ticks (bid, ask, last); map them with columns: {open: NAME, ...}"
    )
