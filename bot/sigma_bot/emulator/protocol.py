"""What a venue's wire protocol must offer to the server."""

from __future__ import annotations

from typing import Protocol

from sigma_bot.emulator.http import Answer, Request, WebSocketSession
from sigma_bot.emulator.hub import Hub
from sigma_bot.emulator.model import Event


class Streams(Protocol):
    """A venue's WebSocket side."""

    @property
    def hub(self) -> Hub:
        """The open sockets."""

    def opened(self, socket: WebSocketSession, request: Request) -> Answer | None:
        """A client connects; an Answer refuses it."""

    def received(self, socket: WebSocketSession, text: str) -> None:
        """A client's message."""

    def published(self, event: Event) -> None:
        """Something happened at the exchange."""

    def tick(self) -> None:
        """Called ten times a second, for what is sent in intervals."""


class VenueProtocol(Protocol):
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
