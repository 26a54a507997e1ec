"""What server and venue protocol hand each other: requests, answers, WebSocket sessions. No I/O here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl


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


class WebSocketSession(Protocol):
    """A WebSocket as a protocol sees it."""

    account: str | None
    topics: dict[str, Any]
    silent: bool

    def send(self, payload: str | bytes) -> None:
        """Queue one frame: text for str, binary for bytes."""

    def cut(self) -> None:
        """Break the connection."""
