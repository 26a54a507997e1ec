"""Log lines: what they hold, what they never hold, and how often they come."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot import redaction
from sigma_bot.health import logs

log = logging.getLogger("sigma_bot.test")


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(False)
    redaction.forget_secrets()


def lines(form: str, act: Callable[[], object]) -> list[str]:
    """What is written while ``act`` runs."""
    stream = io.StringIO()
    logs.configure("DEBUG", stream, form)  # type: ignore[arg-type]
    act()
    return stream.getvalue().splitlines()


def only(act: Callable[[], object]) -> dict[str, Any]:
    (line,) = lines("json", act)
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_record_is_one_json_object_with_its_facts() -> None:
    def act() -> None:
        with logs.about(strategy="ema-cross", order=17), logs.about(tick=204911):
            log.info(
                "sent %s\nand more", Decimal("0.10"), extra={"price": Decimal("1.50"), "at": float("nan")}
            )

    line = only(act)
    assert str(line.pop("time")).endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "sigma_bot.test",
        "message": "sent 0.10\nand more",
        "strategy": "ema-cross",
        "order": 17,
        "tick": 204911,
        "price": "1.50",
        "at": "nan",
    }


async def test_facts_follow_a_task_and_end_with_their_block() -> None:
    stream = io.StringIO()
    logs.configure("INFO", stream, "json")

    async def step() -> None:
        log.info("in a task")

    with logs.about(tick=5):
        task = asyncio.create_task(step())
    log.info("outside")
    await task
    outside, inside = map(json.loads, stream.getvalue().splitlines())
    assert inside["tick"] == 5
    assert "tick" not in outside


def test_a_fact_cannot_replace_the_line_s_own_fields() -> None:
    def act() -> None:
        with logs.about(level="none", logger="x"):
            log.warning("real")

    line = only(act)
    assert (line["level"], line["logger"], line["message"]) == ("warning", "sigma_bot.test", "real")


def test_an_exception_comes_with_its_traceback() -> None:
    def act() -> None:
        try:
            raise ValueError("wrong")
        except ValueError:
            log.exception("failed")

    assert "test_health_logs.py" in str(only(act)["error"])
    text = lines("text", act)
    assert text[-1] == "ValueError: wrong"


def test_text_has_no_control_characters_and_cannot_pretend_to_be_two_lines() -> None:
    written = lines("text", lambda: log.info("a\x1b[2Jb\r\n12:00:00 sent", extra={"symbol": "\u202eBTC"}))
    assert len(written) == 2
    assert written[1].startswith("    ")
    assert not any(c in "".join(written) for c in "\x1b\r\u202e")


def test_arguments_that_do_not_fit_are_logged_without_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    redaction.remember_secrets("s3cr3t-key")
    line = only(lambda: log.info("%d orders", "s3cr3t-key"))
    assert "don't fit" in str(line["message"])
    assert "s3cr3t-key" not in str(line) + capsys.readouterr().err


def test_a_record_that_cannot_be_written_is_reported_without_its_content(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Unspeakable:
        def __str__(self) -> str:
            raise RuntimeError("no text for s3cr3t-key")

    redaction.remember_secrets("s3cr3t-key")
    assert lines("json", lambda: log.info("told", extra={"thing": Unspeakable()})) == []
    said = capsys.readouterr().err
    assert "could not be written" in said
    assert "s3cr3t-key" not in said


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=8, max_size=40)


@given(SECRETS, st.sampled_from(["json", "text"]))
@settings(max_examples=150)
def test_a_secret_gets_out_in_no_form(secret: str, form: str) -> None:
    redaction.forget_secrets()
    redaction.remember_secrets(secret)

    def act() -> None:
        log.info("key %s", secret)
        log.info("key %r", secret, extra={"body": {"apiKey": secret, secret: [secret]}})
        log.info("GET /v1?key=%s", quote(secret, safe=""))
        log.info(json.dumps({"key": secret}))
        try:
            raise KeyError(secret)
        except KeyError:
            log.exception("failed with %s", [secret], extra={"order": secret})
        sys.excepthook(ValueError, ValueError(f"bad key {secret}"), None)

    written = "\n".join(lines(form, act))
    decoded = [json.loads(line) for line in written.splitlines()] if form == "json" else []
    for shape in (secret, quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1]):
        assert shape not in written
        assert shape not in json.dumps(decoded, ensure_ascii=False)
    assert written.count(redaction.HIDDEN) >= 8


def test_a_short_secret_is_hidden_as_a_word_only() -> None:
    redaction.remember_secrets("pass")
    redaction.remember_secrets("123456")
    line = only(lambda: log.info("password pass bypass", extra={"pin": 123456, "quantity": 1234567}))
    assert line["message"] == f"password {redaction.HIDDEN} bypass"
    assert line["pin"] == redaction.HIDDEN
    assert line["quantity"] == 1234567


def test_signatures_and_tokens_that_nobody_registered_are_hidden() -> None:
    line = only(lambda: log.info("GET /api/v3/order?symbol=BTCUSDT&signature=0a1b2c3d: Bearer eyJh.eyJi"))
    assert "0a1b2c3d" not in str(line)
    assert "eyJi" not in str(line)
    assert "symbol=BTCUSDT" in str(line)


def test_an_empty_secret_changes_nothing() -> None:
    redaction.remember_secrets("")
    assert redaction.redact("text") == "text"


def test_uncaught_errors_of_threads_and_of_the_main_thread_go_through_the_log() -> None:
    redaction.remember_secrets("s3cr3t-key")

    def act() -> None:
        def fail() -> None:
            raise ValueError("with s3cr3t-key")

        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()

    line = only(act)
    assert line["level"] == "critical"
    assert "with ***" in str(line["error"])
    assert "s3cr3t-key" not in str(line)


def test_repeats_are_held_back_and_counted() -> None:
    moment = [1000.0]
    repeats = logs.Repeats(most=3, window_s=60)
    stream = io.StringIO()

    def say(number: int) -> None:
        log.warning("reconnecting, attempt %d", number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs.time, "monotonic", lambda: moment[0])  # type: ignore[attr-defined]
        logs.configure("INFO", stream, "json")
        (handler,) = logging.getLogger().handlers
        handler.filters = [repeats]
        for number in range(10):
            say(number)
        log.warning("another")
        moment[0] += 61
        say(10)
    written = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [w["message"] for w in written] == [
        *(f"reconnecting, attempt {n}" for n in range(3)),
        "another",
        "reconnecting, attempt 10",
    ]
    assert written[-1]["left_out"] == 7


def test_orders_are_no_repetition() -> None:
    assert len(lines("json", lambda: [log.info("order %d", number) for number in range(20)])) == 20  # type: ignore[func-returns-value]
    assert len(lines("json", lambda: [log.info("order %d", 7) for _ in range(20)])) == logs.REPEATS  # type: ignore[func-returns-value]


def test_errors_are_never_held_back() -> None:
    assert len(lines("json", lambda: [log.error("broken") for _ in range(20)])) == 20  # type: ignore[func-returns-value]


def test_a_terminal_gets_text_and_a_file_json() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        logs.configure("INFO", stream)
        log.info("hello")
    assert terminal.getvalue().endswith(" hello\n")
    assert json.loads(file.getvalue())["message"] == "hello"
