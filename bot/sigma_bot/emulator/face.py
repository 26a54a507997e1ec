"""What the server hands to a venue's face and gets back: requests, answers, sockets. No I/O here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

from sigma_bot.emulator.model import Event

if TYPE_CHECKING:
    from sigma_bot.emulator.hub import Hub


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``query`` is the raw query string, as it was signed; header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    address: str

    def pairs(self) -> list[tuple[str, str]]:
        """Parameters of the query and a form body, in order."""
        text = self.query
        if self.body and not self.body.lstrip().startswith(b"{"):
            text = "&".join(t for t in (text, self.body.decode("utf-8", "replace")) if t)
        return parse_qsl(text, keep_blank_values=True)

    def fields(self) -> dict[str, Any]:
        """A JSON body's fields; ValueError when it is no JSON object."""
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError("the body is not a JSON object")
        return value


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; ``body`` is JSON text unless a fault says otherwise."""

    status: int
    body: str | bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Sink(Protocol):
    """A WebSocket as a face sees it."""

    account: str | None
    topics: dict[str, Any]
    silent: bool

    def send(self, payload: str | bytes) -> None:
        """Queue one frame: text for str, binary for bytes."""

    def cut(self) -> None:
        """Break the connection."""


class Streams(Protocol):
    """A venue's WebSocket side."""

    @property
    def hub(self) -> Hub:
        """The open sockets."""

    def opened(self, socket: Sink, request: Request) -> Answer | None:
        """A client connects; an Answer refuses it."""

    def received(self, socket: Sink, text: str) -> None:
        """A client's message."""

    def told(self, event: Event) -> None:
        """Something happened at the exchange."""

    def tick(self) -> None:
        """Called ten times a second, for what is sent in intervals."""


class Face(Protocol):
    """A venue's wire protocol over one exchange."""

    @property
    def streams(self) -> Streams:
        """The WebSocket side."""

    def name(self, method: str, path: str) -> str | None:
        """Our name of an endpoint ("order.create"), None when there is no such endpoint."""

    def is_socket(self, path: str) -> bool:
        """Whether a path is a WebSocket's."""

    def answer(self, request: Request) -> Answer:
        """Handle one request; never raises."""

    def limited(self, status: int, retry_after: int) -> Answer:
        """The venue's own 429 or 418."""
