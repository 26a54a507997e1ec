"""Payloads and channels. Every payload is a msgpack array that begins with the version of its form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, TypeAlias

import msgpack

from sigma_bot.model.orders import FillRow, NoticeRow, OrderRow, State

VERSION = 1


@dataclass(frozen=True, slots=True)
class TickMessage:
    """One symbol's 100 ms snapshot. Times are ns UTC: ``exchange_ts`` the venue's of the newest event in it
    (0 unknown), ``received_ts`` ours of the same."""

    symbol: str
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    last: float
    volume: float
    low: float
    high: float
    exchange_ts: int
    received_ts: int


@dataclass(frozen=True, slots=True)
class TickBatch:
    """All ticks of one venue at one instant ``ts`` (ns UTC, the end of the interval), in the order of their
    symbols' names.

    ``seq`` rises by exactly 1, over restarts of the feed too; a batch is sent every 100 ms, an empty one too.
    ``gaps`` names symbols whose data have a hole before this batch.
    """

    venue: str
    seq: int
    ts: int
    gaps: tuple[str, ...]
    ticks: tuple[TickMessage, ...]

    def encode(self) -> bytes:
        """As bytes."""
        rows = [
            (
                t.symbol, t.bid, t.ask, t.bid_size, t.ask_size, t.last,
                t.volume, t.low, t.high, t.exchange_ts, t.received_ts,
            )
            for t in self.ticks
        ]  # fmt: skip
        packed: bytes = msgpack.packb((VERSION, self.venue, self.seq, self.ts, self.gaps, rows))
        return packed


def decode_batch(payload: bytes) -> TickBatch:
    """The batch of ``TickBatch.encode``. Raises ValueError for another version or shape."""
    try:
        version, venue, seq, ts, gaps, rows = msgpack.unpackb(payload)
        if version != VERSION:
            raise ValueError(f"tick batch of version {version}; this one reads {VERSION}")
        return TickBatch(venue, seq, ts, tuple(gaps), tuple(TickMessage(*row) for row in rows))
    except (TypeError, ValueError, msgpack.UnpackException) as error:
        raise ValueError(f"not a tick batch: {error}") from error


def ticks_log(venue: str) -> str:
    """The log and channel of a venue's ticks."""
    return f"sigma.ticks.{venue}"


def wants_topic(venue: str) -> str:
    """Where bots say which symbols of a venue they need (``Bus.want``)."""
    return f"feed.{venue}"


def trouble_topic(venue: str) -> str:
    """Where a feed says why it has no line to its venue (``Bus.want``): a hint for people, no more."""
    return f"feed-trouble.{venue}"


def history_channel(venue: str) -> str:
    """Where bots ask the feed of a venue for ticks of its recording (``HistoryRequest``)."""
    return f"sigma.history.{venue}"


def history_answers(venue: str, bot: str) -> str:
    """Where a bot hears that an answer lies in its box."""
    return f"sigma.history.{venue}.{bot}"


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """A bot asks for recorded batches: with a higher number than ``after`` (-1: any) and stamped ``since``
    (ns UTC) or later, before number ``until``. A page has some of them; for the rest it asks again."""

    bot: str
    symbols: tuple[str, ...]
    after: int
    since: int
    until: int

    def encode(self) -> bytes:
        """As bytes."""
        packed: bytes = msgpack.packb((VERSION, self.bot, self.symbols, self.after, self.since, self.until))
        return packed

    def box(self, venue: str) -> str:
        """Where the answer lies (``HistoryPage``). Only the feed can write there, and only this very request
        leads there."""
        return f"sigma.history.{venue}:{hashlib.sha256(self.encode()).hexdigest()}"


def decode_history_request(payload: bytes) -> HistoryRequest:
    """The request of ``HistoryRequest.encode``. Raises ValueError for another version or shape."""
    try:
        version, bot, symbols, after, since, until = msgpack.unpackb(payload)
        if version != VERSION:
            raise ValueError(f"history request of version {version}; this one reads {VERSION}")
        if not all(isinstance(value, int) for value in (after, since, until)):
            raise ValueError("after, since and until must be whole numbers")
        return HistoryRequest(str(bot), tuple(str(symbol) for symbol in symbols), after, since, until)
    except (TypeError, ValueError, msgpack.UnpackException) as error:
        raise ValueError(f"not a history request: {error}") from error


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """What the recording has from behind ``after``, the request's, up to and with number ``upto``.

    ``batches`` are encoded, and hold only the ticks of the symbols that were asked for; numbers without any
    are left out. ``missing`` are ranges (both ends included) that are not recorded. A page whose ``upto`` is
    its ``after`` says that the request was heard, or in ``why`` why there is nothing to be had.
    """

    after: int
    until: int
    upto: int
    missing: tuple[tuple[int, int], ...] = ()
    batches: tuple[bytes, ...] = ()
    why: str = ""

    def encode(self) -> bytes:
        """As bytes."""
        packed: bytes = msgpack.packb(
            (VERSION, self.after, self.until, self.upto, self.missing, self.batches, self.why)
        )
        return packed


def decode_history_page(payload: bytes) -> HistoryPage:
    """The page of ``HistoryPage.encode``. Raises ValueError for another version or shape."""
    try:
        version, after, until, upto, missing, batches, why = msgpack.unpackb(payload)
        if version != VERSION:
            raise ValueError(f"history page of version {version}; this one reads {VERSION}")
        ranges = tuple((int(first), int(last)) for first, last in missing)
        return HistoryPage(after, until, upto, ranges, tuple(batches), why)
    except (TypeError, ValueError, msgpack.UnpackException) as error:
        raise ValueError(f"not a history page: {error}") from error


def bot_channel(bot: str) -> str:
    """What a bot tells: intents, orders, fills, rejections, state, alerts (``BotMessage``)."""
    return f"sigma.bot.{bot}"


CONTROL = "sigma.control"
"""A doorbell without content that matters: a halt, resume or flatten was written to the journal."""


Body: TypeAlias = OrderRow | FillRow | NoticeRow
"""What a message of a bot tells, as the journal holds it."""
BOT_VERSION = 2
"""Of a bot's messages. Form 1 called two fields and some states of an order otherwise; it is still read."""
_BODIES: dict[str, type[Body]] = {
    "intent": OrderRow,
    "order": OrderRow,
    "fill": FillRow,
    "rejection": NoticeRow,
    "alert": NoticeRow,
    "state": NoticeRow,
}
_FORMER_FIELDS = {"leg": "attempt", "kind": "order_type"}


@dataclass(frozen=True, slots=True)
class BotMessage:
    """A stored change. ``commit`` rises by 1 with every stored change of the bot; a gap means: read the
    journal."""

    bot: str
    commit: int
    body: Body

    @property
    def kind(self) -> str:
        """intent, order, fill, rejection, state or alert."""
        if isinstance(self.body, OrderRow):
            return "intent" if self.body.state is State.INTENT else "order"
        return "fill" if isinstance(self.body, FillRow) else self.body.kind

    def encode(self) -> bytes:
        """As bytes: the body as a map, its decimals as their digits."""
        values = {name: _to_wire(getattr(self.body, name)) for name in _types_of(type(self.body))}
        packed: bytes = msgpack.packb((BOT_VERSION, self.bot, self.commit, self.kind, values))
        return packed


def decode_bot_message(payload: bytes) -> BotMessage:
    """The message of ``BotMessage.encode``. Raises ValueError for another version or shape."""
    try:
        version, bot, commit, kind, values = msgpack.unpackb(payload)
        if version not in (1, BOT_VERSION):
            raise ValueError(f"bot message of version {version}; this one reads {BOT_VERSION} and 1")
        if kind not in _BODIES or not isinstance(values, dict):
            raise ValueError(f"kind {kind!r} is not known")
        if not isinstance(bot, str) or not isinstance(commit, int):
            raise ValueError("bot must be a text, commit a whole number")
        return BotMessage(bot, commit, _body(_BODIES[kind], values, former=version == 1))
    except (TypeError, ValueError, ArithmeticError, msgpack.UnpackException) as error:
        raise ValueError(f"not a bot message: {error}") from error


def _body(kind: type[Body], values: dict[str, object], former: bool) -> Body:
    if former and kind is OrderRow:
        values = {_FORMER_FIELDS.get(name, name): value for name, value in values.items()}
    types = _types_of(kind)
    if values.keys() != types.keys():
        raise ValueError(f"fields {sorted(values.keys() ^ types.keys())} are missing or not known")
    known: dict[str, Any] = {name: _from_wire(types[name], name, value) for name, value in values.items()}
    return kind(**known)


def _types_of(kind: type[Body]) -> dict[str, str]:
    """Names and annotations of a body's fields."""
    return {field.name: str(field.type) for field in fields(kind)}


def _to_wire(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.value if isinstance(value, State) else value


def _from_wire(annotation: str, name: str, value: object) -> object:
    """A field's value. Raises ValueError for one of another type."""
    if value is None and annotation.endswith("None"):
        return None
    wanted, make = _WIRE[annotation.removesuffix(" | None")]
    if type(value) is not wanted:
        raise ValueError(f"{name} can't be {value!r}")
    return make(value)


_WIRE: dict[str, tuple[type, Callable[[Any], object]]] = {
    "str": (str, str),
    "int": (int, int),
    "bool": (bool, bool),
    "Decimal": (str, Decimal),
    "State": (str, State),
}
"""What a field is on the wire, and what makes it of that."""
