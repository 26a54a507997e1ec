"""A thread that notices a decision loop that stands still, and ends a callback that never returns.

A strategy in an endless loop holds the thread that decides, journals and sends. So while it loops nothing can
be sent; what is left to do is to say so, and to end the callback, so that the bot can store why it halts.
A signal does that: it interrupts Python code between two instructions, and sleeping and waiting calls too.
It can't interrupt compiled code that never returns to the interpreter: such a process is ended by its
liveness probe.
"""

from __future__ import annotations

import contextvars
import logging
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial

from sigma_bot.health.heartbeat import Heartbeat, Stall

log = logging.getLogger(__name__)

SIGNAL = signal.SIGUSR1
POLL_S = 0.25
END_AFTER_S = 30.0
PENDING_AFTER_S = 1.0
"""A callback that has run for so long may be keeping the bot from a halt: every so often that is asked."""


class Watchdog:
    """Watches ``heartbeat``. Made, started and closed by the main thread, which must be the one that decides:
    Python runs signal handlers there.

    Past the heartbeat's limit the stack is logged, once. A callback that runs for ``end_after_s`` is ended;
    one that keeps the bot from something urgent sooner: ``pending`` names it, "" when there is none. It is
    called in the watchdog's thread.
    """

    def __init__(
        self,
        heartbeat: Heartbeat,
        end_after_s: float = END_AFTER_S,
        poll_s: float = POLL_S,
        pending: Callable[[], str] | None = None,
    ) -> None:
        if heartbeat.thread != threading.main_thread().ident:
            raise ValueError("a watchdog needs a decision loop in the main thread")
        self.heartbeat = heartbeat
        self.end_after_s = end_after_s
        self.poll_s = poll_s
        self.pending = pending
        self._asked = 0.0
        self.stack = ""
        """Where the loop stood when it was last found stuck."""
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin to watch. The thread's log lines carry what the caller's do."""
        self._before = signal.signal(SIGNAL, self.heartbeat.interrupt)
        watch = partial(contextvars.copy_context().run, self._watch)
        self._thread = threading.Thread(target=watch, name="watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        self._thread.join()
        signal.signal(SIGNAL, self._before)

    def stop_callback(self, reason: str) -> bool:
        """End the callback that runs now, if one runs; it then raises StrategyError with its line.

        May be called from any thread. A callback that catches everything (a bare ``except``) goes on: call
        again.
        """
        if not self.heartbeat.callback:
            return False
        self.heartbeat.stop_reason = reason
        signal.pthread_kill(self.heartbeat.thread, SIGNAL)
        return True

    def _watch(self) -> None:
        logged: Stall | None = None
        while not self._closed.wait(self.poll_s):
            self._interrupt_if_pending()
            stall = self.heartbeat.stall()
            if stall is None:
                if logged is not None:
                    log.warning("the decision loop advances again; it stood in %r", logged.callback)
                logged = None
                continue
            if logged is None:
                logged = stall
                self.stack = self._stack()
                log.error("%s\n%s", stall, self.stack)
            if stall.callback and stall.seconds > self.end_after_s:
                self.stop_callback(f"it had not returned for {self.end_after_s:g} s")

    def _interrupt_if_pending(self) -> None:
        """End a callback that somebody waits for."""
        now, age = time.monotonic(), self.heartbeat.age_s()
        if self.pending is None or not self.heartbeat.callback or age <= PENDING_AFTER_S:
            return
        if now - self._asked > PENDING_AFTER_S:
            self._asked = now
            if (what := self.pending()) and self.heartbeat.age_s() > PENDING_AFTER_S:  # it is still the same
                self.stop_callback(what)

    def _stack(self) -> str:
        frame = sys._current_frames().get(self.heartbeat.thread)
        return "".join(traceback.format_stack(frame)) if frame is not None else ""
