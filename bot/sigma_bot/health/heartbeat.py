"""The decision loop's heartbeat: when it last advanced and which callback it is in.

The loop writes, other threads read. Every attribute is replaced as a whole, so no lock is needed.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import ParamSpec, TypeVar

from sigma_bot.errors import StrategyError

P = ParamSpec("P")
R = TypeVar("R")

_OWN_PACKAGE = str(Path(__file__).parents[1])
LOOP_LIMIT_S = 15.0
CALLBACK_LIMIT_S = 5.0


class StopCallback(BaseException):
    """Raised inside a callback that is to end now. ``except Exception`` in a strategy doesn't catch it."""


@dataclass(frozen=True, slots=True)
class Stall:
    """The loop has not advanced for ``seconds``; ``since`` is seconds since 1970; ``callback`` names the
    callback it is in, empty when it waits for something else."""

    since: float
    seconds: float
    callback: str

    def __str__(self) -> str:
        where = f"in {self.callback}" if self.callback else "outside the strategy"
        return f"the decision loop has not advanced for {self.seconds:.1f} s, {where}"


class Heartbeat:
    """Made and touched by the thread that decides.

    ``limit_s``: how long the loop may stand still; ``callback_limit_s``: how long one callback may take.
    """

    def __init__(self, limit_s: float = LOOP_LIMIT_S, callback_limit_s: float = CALLBACK_LIMIT_S) -> None:
        self.limit_s = limit_s
        self.callback_limit_s = callback_limit_s
        self.thread = threading.get_ident()
        self.stop_reason = "a signal from outside"
        self._state = (time.monotonic(), "")

    def beat(self) -> None:
        """The loop has advanced: an input is processed, a timer ran, a wait is tried again."""
        self._state = (time.monotonic(), "")

    @property
    def callback(self) -> str:
        """The callback that runs now, or an empty string."""
        return self._state[1]

    def age_s(self) -> float:
        """Seconds since the loop last advanced."""
        return time.monotonic() - self._state[0]

    def stall(self) -> Stall | None:
        """None while the loop advances."""
        at, callback = self._state
        seconds = time.monotonic() - at
        if seconds <= (self.callback_limit_s if callback else self.limit_s):
            return None
        return Stall(time.time() - seconds, seconds, callback)

    def run_callback(self, callback: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """``function(*args)``, known as ``callback`` while it runs.

        Raises StrategyError with the strategy's line when the call was stopped from outside; what the
        function itself raises goes through.
        """
        try:
            self._state = (time.monotonic(), callback)
            try:
                return function(*args, **kwargs)
            finally:
                self._state = (time.monotonic(), "")
        except StopCallback as stop:
            self._state = (time.monotonic(), "")
            where = "".join(_user_frames(stop.__traceback__)) or "  (not in the strategy's code)\n"
            raise StrategyError(f"{callback} was stopped: {self.stop_reason}\n{where.rstrip()}") from stop

    def interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """A signal handler: runs in the thread that decides, so it sees for certain whether a callback
        runs."""
        if self._state[1]:
            raise StopCallback


def _user_frames(trace: TracebackType | None) -> list[str]:
    """The frames that are not ours, outermost first."""
    frames = [f for f in traceback.extract_tb(trace) if not f.filename.startswith(_OWN_PACKAGE)]
    return [f"  {f.filename}:{f.lineno} in {f.name}\n    {f.line}\n" for f in frames[-8:]]


async def measure_lag(observe: Callable[[float], None], every_s: float = 0.5) -> None:
    """For ever: tell by how many seconds the event loop wakes a sleeper too late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every_s
        await asyncio.sleep(every_s)
        observe(max(0.0, loop.time() - due))
