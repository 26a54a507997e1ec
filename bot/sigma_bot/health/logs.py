"""Logs: one JSON object a line, or lines for a person at a terminal. Registered secrets never get out.

Strategy, order and tick that a record is about come from ``about(...)``, whoever logs it, also in tasks that
are started inside:

    with about(order=17, tick=204911):
        log.info("sent")            # {"time": ..., "strategy": "ema-cross", "order": 17, "tick": 204911, ...}

A bot's runner says which strategy, each of its steps which tick, and whatever handles or sends an order which
order.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from math import isfinite
from types import TracebackType
from typing import Literal, TextIO

from sigma_bot.redaction import redact

REPEATS = 5
WINDOW_S = 60.0
MOST_KINDS = 200

_facts: ContextVar[dict[str, object]] = ContextVar("facts", default={})  # noqa: B039 - never changed in place
_standard = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
}
# everything that could move the cursor, end a line or hide text; a traceback keeps its line ends
_controls = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@contextmanager
def about(**facts: object) -> Iterator[None]:
    """Add these facts (``strategy``, ``order``, ``tick`` ...) to every record logged inside, tasks started
    inside included."""
    token = _facts.set({**_facts.get(), **facts})
    try:
        yield
    finally:
        _facts.reset(token)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError) as error:
        # logging's own answer would be to print the arguments to stderr, secrets and all
        return f"{record.msg} {record.args!r} (the arguments don't fit: {error})"


def _trace(record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append("".join(traceback.format_exception(*record.exc_info)).rstrip())
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)


def _facts_of(record: logging.LogRecord) -> dict[str, object]:
    extra = {key: value for key, value in vars(record).items() if key not in _standard}
    return {**_facts.get(), **extra}


def _as_json(value: object) -> object:
    """As JSON can say it: secrets gone, Decimals and times as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        text = redact(str(value))
        # JSON knows no nan and no infinity
        return value if text == str(value) and isfinite(value) else text
    if isinstance(value, dict):
        return {str(_as_json(str(key))): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(item) for item in value]
    return redact(str(value))


def _visible(text: str) -> str:
    return _controls.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class JsonFormatter(logging.Formatter):
    """One line of JSON: time (UTC, ISO 8601), level, logger, message, the facts, and error (a traceback)."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        line |= {key: value for key, value in _facts_of(record).items() if key not in line}
        if trace := _trace(record):
            line["error"] = trace
        return _visible(json.dumps(_as_json(line), ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """A line for a person: local time, level, message, facts; a traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        clock = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        # a terminal shows one bot
        facts = " ".join(f"{key}={value}" for key, value in _facts_of(record).items() if key != "strategy")
        text = f"{clock} {level}{_message(record)}" + (f"  [{facts}]" if facts else "")
        text = text.replace("\n", "\n    ")
        if trace := _trace(record):
            text += "\n" + trace
        return _visible(redact(text))


class Repeats(logging.Filter):
    """Lets a warning of one place through five times a minute, whatever its arguments, and any other message
    when it says the same; the next minute's first says how many were left out. Nothing above a warning is
    held back."""

    def __init__(self, most: int = REPEATS, window_s: float = WINDOW_S) -> None:
        super().__init__()
        self.most = most
        self.window_s = window_s
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        if record.levelno > logging.WARNING:
            return True
        # an order and the next one come from one line of code, and are no repetition
        said = str(record.msg) if record.levelno == logging.WARNING else _message(record)
        key = (record.pathname, record.lineno, said)
        now = time.monotonic()
        with self._lock:
            begun, count = self._seen.pop(key, (now, 0))
            left_out = count - self.most
            if now - begun >= self.window_s:
                begun, count = now, 0
                if left_out > 0:
                    record.left_out = left_out
            self._seen[key] = (begun, count + 1)
            if len(self._seen) > MOST_KINDS:
                del self._seen[next(iter(self._seen))]
        return count < self.most


class _Handler(logging.StreamHandler[TextIO]):
    """Says that a record could not be written without printing what was in it, as logging's own would."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Tell stderr which record was lost, and why."""
        text = f"a record of {record.name} could not be written: {traceback.format_exc()}"
        with suppress(OSError, ValueError):  # stderr is gone too: nobody is left to tell
            sys.stderr.write(redact(text))


def configure(
    level: int | str = logging.INFO, stream: TextIO | None = None, form: Literal["json", "text"] | None = None
) -> None:
    """Send every log record of the process to ``stream`` (stderr), as JSON unless it is a terminal; uncaught
    errors too, of threads as well, and Python's warnings."""
    stream = stream or sys.stderr
    if form is None:
        form = "text" if stream.isatty() else "json"
    handler = _Handler(stream)
    handler.setFormatter(TextFormatter() if form == "text" else JsonFormatter())
    handler.addFilter(Repeats())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("sigma_bot").critical("not caught: %s", kind.__name__, exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    error = args.exc_value if args.exc_value is not None else args.exc_type()
    _uncaught(args.exc_type, error, args.exc_traceback)
