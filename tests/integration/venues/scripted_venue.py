"""A venue's server whose answers a test writes itself: for what goes over the wire, and every bad answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

CUT = object()
"""The connection is cut instead of an answer."""


@dataclass
class Asked:
    """A request as the venue got it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    text: str

    @property
    def params(self) -> dict[str, str]:
        """Query and form together."""
        return self.query | dict(parse_qsl(self.text))


@dataclass
class Answer:
    """What is answered: ``body`` is JSON, or text and bytes as they are, or CUT."""

    body: object
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    before: asyncio.Event | None = None  # answered once it is set


class VenueServer:
    """Answers by ``METHOD /path``: a queue of answers, the last of which stays."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, list[Answer | Callable[[Asked], Answer]]] = {}
        self.arrived = asyncio.Event()
        self.url = ""

    def on(self, route: str, *answers: object, **kind: Any) -> None:
        """Set what a route answers."""
        self.answers[route] = [
            a if isinstance(a, Answer) or callable(a) else Answer(a, **kind) for a in answers
        ]

    def of(self, route: str) -> list[Asked]:
        """Requests to a route."""
        return [a for a in self.asked if f"{a.method} {a.path}" == route]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(
            request.method, request.path, dict(request.query), dict(request.headers), await request.text()
        )
        self.asked.append(asked)
        self.arrived.set()
        queue = self.answers.get(f"{request.method} {request.path}")
        if not queue:
            return web.Response(status=404, text=f"no answer for {request.method} {request.path}")
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if not isinstance(answer, Answer):
            answer = answer(asked)
        if answer.before is not None:
            await answer.before.wait()
        if answer.body is CUT:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        body = answer.body
        if not isinstance(body, bytes | str):
            body = json.dumps(body)
        raw = body.encode() if isinstance(body, str) else body
        return web.Response(
            status=answer.status, body=raw, headers={"Content-Type": "application/json"} | answer.headers
        )
