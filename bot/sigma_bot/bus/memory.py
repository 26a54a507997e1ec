"""The in-process bus. Its logs live in memory, or in files when it is given a folder for them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from sigma_bot.bus.errors import BusError, GapError, check_seq
from sigma_bot.bus.segment_log import SegmentLog

WHERE = "in-process bus"
MAX_WAITING = 10_000
"""Messages that may wait for one listener; should it not read them, the oldest are dropped."""
RECENT = 600
"""Entries of a log that stay in memory beside its files: a minute of ticks."""


class _Log:
    """The newest entries in memory and, where there is a folder, all kept ones in files."""

    def __init__(self, folder: Path | None, kept: int) -> None:
        self.files = SegmentLog(folder, kept) if folder is not None else None
        self.recent: deque[tuple[int, bytes]] = deque(maxlen=kept if folder is None else min(kept, RECENT))
        if self.files is not None and self.files.last >= 0:
            self.recent.extend(self.files.read(self.files.last - 1, 1))

    def append(self, seq: int, payload: bytes) -> None:
        if self.files is not None:
            self.files.append(seq, payload)
        self.recent.append((seq, payload))

    def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        if not self.recent or after >= self.recent[-1][0]:
            return []
        if self.files is not None and after + 1 < self.recent[0][0]:
            return self.files.read(after, limit)
        skipped = max(0, after + 1 - self.recent[0][0])  # numbers rise by one
        return list(itertools.islice(self.recent, skipped, skipped + limit))


class _Listener:
    def __init__(self) -> None:
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=MAX_WAITING)
        self._bell = asyncio.Event()
        self.closed = False

    def put(self, channel: str, payload: bytes) -> None:
        self._waiting.append((channel, payload))
        self._bell.set()

    def close(self) -> None:
        self.closed = True
        self._bell.set()

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self.closed:
                raise BusError(f"{WHERE}: closed")
            self._bell.clear()
            await self._bell.wait()


class MemoryBus:
    """A bus for one process and one event loop."""

    def __init__(self, log_folder: Path | None, kept: int) -> None:
        self._folder, self._kept = log_folder, kept
        self._logs: dict[str, _Log] = {}
        self._listeners: dict[str, list[_Listener]] = {}
        self._wants: dict[str, dict[str, tuple[float, list[str]]]] = {}
        self._boxes: dict[str, tuple[float, bytes]] = {}
        self._closed = False

    async def publish(self, channel: str, payload: bytes) -> None:
        """See Bus."""
        self._check_open()
        self._tell(channel, payload)

    def _tell(self, channel: str, payload: bytes) -> None:
        for listener in self._listeners.get(channel, ()):
            listener.put(channel, payload)

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[AsyncIterator[tuple[str, bytes]]]:
        """See Bus."""
        self._check_open()
        listener = _Listener()
        for channel in channels:
            self._listeners.setdefault(channel, []).append(listener)
        try:
            yield listener.messages()
        finally:
            for channel in channels:
                self._listeners[channel].remove(listener)

    async def append(self, log: str, seq: int, payload: bytes) -> None:
        """See Bus. An entry that is there already is ignored; GapError when those before it are missing."""
        check_seq(seq)
        held = self._log(log)
        last = held.recent[-1][0] if held.recent else None
        if last is not None and seq <= last:
            return
        if last is not None and seq > last + 1:
            raise GapError(WHERE, log, seq, last)
        held.append(seq, payload)
        self._tell(log, payload)

    async def read(self, log: str, after: int, limit: int = 1000) -> list[tuple[int, bytes]]:
        """See Bus."""
        return self._log(log).read(after, limit)

    async def last(self, log: str) -> tuple[int, bytes] | None:
        """See Bus."""
        recent = self._log(log).recent
        return recent[-1] if recent else None

    async def leave(self, box: str, payload: bytes, ttl_s: float) -> None:
        """See Bus."""
        self._check_open()
        now = time.monotonic()
        self._boxes = {name: held for name, held in self._boxes.items() if held[0] > now}
        self._boxes[box] = (now + ttl_s, payload)

    async def collect(self, box: str) -> bytes | None:
        """See Bus."""
        self._check_open()
        until, payload = self._boxes.get(box, (0.0, b""))
        return payload if until > time.monotonic() else None

    async def want(self, topic: str, who: str, what: list[str], ttl_s: float) -> None:
        """See Bus."""
        self._check_open()
        wants = self._wants.setdefault(topic, {})
        wants.pop(who, None)
        if what:
            wants[who] = (time.monotonic() + ttl_s, list(what))

    async def wanted(self, topic: str) -> dict[str, list[str]]:
        """See Bus."""
        self._check_open()
        now = time.monotonic()
        wants = {who: want for who, want in self._wants.get(topic, {}).items() if want[0] > now}
        self._wants[topic] = wants
        return {who: list(what) for who, (_, what) in sorted(wants.items())}

    async def close(self) -> None:
        """See Bus. Whoever still listens gets BusError."""
        self._closed = True
        for listener in {one for many in self._listeners.values() for one in many}:
            listener.close()
        for log in self._logs.values():
            if log.files is not None:
                log.files.close()
        self._logs.clear()

    def _log(self, name: str) -> _Log:
        self._check_open()
        if name not in self._logs:
            folder = None if self._folder is None else self._folder / quote(name, safe="")
            self._logs[name] = _Log(folder, self._kept)
        return self._logs[name]

    def _check_open(self) -> None:
        if self._closed:
            raise BusError(f"{WHERE}: closed")
