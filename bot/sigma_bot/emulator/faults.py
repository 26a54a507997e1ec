"""Faults by script: what goes wrong, at which request or event, how often.

A fault is met at a request ("order.create"; "order" means every request about one order; "*" every request),
at a private event ("event.order", "event.fill", "event.asset"; "event" means all), at a public one
("public.trade", "public.book", "public.ticker") or when a WebSocket connects ("connect").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sigma_bot.errors import BadInputError, nearest

REQUEST_ACTIONS = frozenset(("drop", "delay", "hold", "answer", "limit", "ban"))
EVENT_ACTIONS = frozenset(("drop", "delay", "hold", "answer", "duplicate", "swap", "cut", "silence"))
ROOTS = frozenset(("event", "public"))


@dataclass(slots=True, eq=False)
class Fault:
    """One fault.

    ``action`` at a request: drop (cut the connection), delay (``seconds``), hold (until released), answer
    (``status``, ``body``, ``headers``), limit (the venue's 429), ban (its 418). ``when``: before the exchange
    has handled the request (it then never does, but for delay and hold) or after.
    ``action`` at an event: drop, delay, hold, duplicate, swap (sent after the next one), answer (``body`` in
    its place), cut (the socket is closed instead), silence (the socket stays open and nothing is sent any
    more, not even a pong). ``skip`` occasions pass unharmed first, then ``times`` are hit (0: all).
    """

    on: str
    action: str
    when: str = "before"
    skip: int = 0
    times: int = 1
    seconds: float = 0.0
    status: int = 503
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    number: int = 0
    hits: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    released: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    held: list[Callable[[], None]] = field(default_factory=list, repr=False)  # events

    def meets(self, name: str) -> bool:
        """Whether an occasion of this name is this fault's."""
        if self.on == "*":
            return name.partition(".")[0] not in ROOTS
        return name == self.on or name.startswith(self.on + ".")

    def release(self) -> None:
        """Let go what this fault holds."""
        self.released.set()
        held, self.held = self.held, []
        for send in held:
            send()


class FaultScript:
    """The faults of one emulator, in the order they were added."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._count = 0

    def add(self, on: str, action: str, **options: Any) -> Fault:
        """Add a fault; see Fault for the options. Raises BadInputError for an unknown action."""
        known = EVENT_ACTIONS if on.partition(".")[0] in ROOTS else REQUEST_ACTIONS
        if action not in known:
            raise BadInputError(
                f"action {action!r} is none of {', '.join(sorted(known))} for {on!r}{nearest(action, known)}"
            )
        if options.get("when", "before") not in ("before", "after"):
            raise BadInputError(f"when is {options['when']!r}; it is before or after")
        self._count += 1
        fault = Fault(on, action, number=self._count, **options)
        self.faults.append(fault)
        return fault

    def find(self, number: int) -> Fault:
        """A fault by its number. Raises BadInputError."""
        for fault in self.faults:
            if fault.number == number:
                return fault
        raise BadInputError(f"there is no fault {number}")

    def clear(self) -> None:
        """Take all faults away; what they hold is let go."""
        for fault in self.faults:
            fault.release()
        self.faults.clear()

    def take(self, name: str) -> list[Fault]:
        """The faults that hit this occasion, counted."""
        found = []
        for fault in self.faults:
            if not fault.meets(name) or (fault.times and fault.hits >= fault.times):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.hits += 1
            found.append(fault)
        return found
