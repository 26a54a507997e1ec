"""The heartbeat and what a request gets, without sockets or threads."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.errors import BadInputError, StrategyError
from sigma_bot.health.heartbeat import Heartbeat, measure_lag
from sigma_bot.health.server import Pages, Readiness, health_address, respond


class Clock:
    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 50.0
        patch.setattr("sigma_bot.health.heartbeat.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def pages(heartbeat: Heartbeat, ready: Readiness | None = None) -> Pages:
    state = ready or Readiness(True, "Trading", "reconciled, feed fresh", {"halted": False})
    return Pages(heartbeat, lambda: state, lambda: {"equity": "1.50"}, lambda: b"sigma_ticks_total 1\n")


def get(pages: Pages, path: str) -> tuple[int, dict[str, object]]:
    head, _, body = respond(pages, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return int(head.split()[1]), json.loads(body)


def test_a_loop_that_advances_is_alive(clock: Clock) -> None:
    heartbeat = Heartbeat(limit_s=10)
    clock.now += 9.9
    assert heartbeat.stall() is None
    assert get(pages(heartbeat), "/healthz")[0] == 200
    clock.now += 0.2
    status, body = get(pages(heartbeat), "/healthz")
    assert status == 503
    assert body["reason"] == "Stuck"
    assert body["message"] == "the decision loop has not advanced for 10.1 s, outside the strategy"
    heartbeat.beat()
    assert get(pages(heartbeat), "/healthz")[0] == 200


def test_a_callback_has_its_own_shorter_limit_and_is_named(clock: Clock) -> None:
    heartbeat = Heartbeat(limit_s=10, callback_limit_s=5)

    def slow() -> int:
        clock.now += 5.1
        stuck = heartbeat.stall()
        assert stuck is not None
        assert stuck.callback == "on_tick"
        assert get(pages(heartbeat), "/healthz")[0] == 503
        assert get(pages(heartbeat), "/readyz")[1]["reason"] == "Stuck"
        return 7

    assert heartbeat.run_callback("on_tick", slow) == 7
    assert heartbeat.callback == ""
    assert heartbeat.stall() is None


def test_what_a_callback_raises_goes_through(clock: Clock) -> None:
    heartbeat = Heartbeat()

    def fail(number: int) -> None:
        raise ZeroDivisionError(number)

    with pytest.raises(ZeroDivisionError):
        heartbeat.run_callback("on_tick", fail, 3)
    assert heartbeat.callback == ""


def test_an_interruption_ends_a_callback_with_its_line_and_nothing_else() -> None:
    heartbeat = Heartbeat()
    heartbeat.stop_reason = "halted"
    heartbeat.interrupt(signal.SIGUSR1, None)  # no callback runs: nothing happens

    def swallows() -> None:
        try:
            heartbeat.interrupt(signal.SIGUSR1, None)
        except Exception:  # noqa: BLE001 - what users write
            pytest.fail("except Exception must not hold it up")

    with pytest.raises(StrategyError, match=r"on_tick was stopped: halted\n(.*\n)*.*in swallows"):
        heartbeat.run_callback("on_tick", swallows)
    assert heartbeat.callback == ""


def test_not_ready_says_why() -> None:
    waiting = Readiness(False, "LeaseHeld", "another process holds the lease: pod-1", {"halted": True})
    status, body = get(pages(Heartbeat(), waiting), "/readyz")
    assert status == 503
    assert body == {
        "ready": False,
        "reason": "LeaseHeld",
        "message": "another process holds the lease: pod-1",
        "halted": True,
    }
    assert get(pages(Heartbeat()), "/readyz") == (
        200,
        {"ready": True, "reason": "Trading", "message": "reconciled, feed fresh", "halted": False},
    )


def test_other_pages() -> None:
    assert get(pages(Heartbeat()), "/status?verbose=1") == (200, {"equity": "1.50"})
    assert get(pages(Heartbeat()), "/")[0] == 404
    metrics = respond(pages(Heartbeat()), b"GET /metrics HTTP/1.1\r\n\r\n")
    assert metrics.endswith(b"\r\n\r\nsigma_ticks_total 1\n")
    head = respond(pages(Heartbeat()), b"HEAD /metrics HTTP/1.1\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert b"Content-Length: 20" in head


def test_a_page_that_fails_is_answered_without_what_failed() -> None:
    def broken() -> Readiness:
        raise RuntimeError("key s3cr3t-key")

    answer = respond(Pages(Heartbeat(), broken, dict, lambda: b""), b"GET /readyz HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"s3cr3t-key" not in answer


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"POST /healthz HTTP/1.1\r\n\r\n", 405),
        (b"GET /healthz\r\n\r\n", 400),
        (b"GET /healthz HTTP/2.0\r\n\r\n", 400),
        (b"GET  /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n", 400),
        (b"", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET http://x/healthz HTTP/1.1\r\n\r\n", 404),
    ],
)
def test_malformed_requests_are_refused(request_line: bytes, status: int) -> None:
    assert respond(pages(Heartbeat()), request_line).split()[1] == str(status).encode()


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(request: bytes) -> None:
    for sent in (request, request + b"\r\n\r\n", b"GET " + request + b" HTTP/1.1\r\n\r\n"):
        assert respond(pages(Heartbeat()), sent).startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8080", ("0.0.0.0", 8080)),
        ("127.0.0.1:9000", ("127.0.0.1", 9000)),
        ("[::1]:9000", ("::1", 9000)),
        ("", None),
        ("0", None),
    ],
)
def test_the_port_variable(text: str, address: tuple[str, int] | None) -> None:
    assert health_address({"SIGMA_HEALTH_PORT": text}) == address
    assert health_address({}) is None


@pytest.mark.parametrize("text", ["http", "70000", "-1", ":8080", "8080.0", "٨٠٨٠", "tcp://10.0.0.1:80/x"])
def test_a_wrong_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInputError, match="SIGMA_HEALTH_PORT: must be a port"):
        health_address({"SIGMA_HEALTH_PORT": text})


async def test_the_lag_is_what_a_sleeper_waits_too_long() -> None:
    seen: asyncio.Queue[float] = asyncio.Queue()
    task = asyncio.create_task(measure_lag(seen.put_nowait, every_s=0.01))
    quiet = await seen.get()
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.2
    while loop.time() < until:  # hold the loop up
        pass
    held_up = await seen.get()
    task.cancel()
    assert quiet >= 0
    assert held_up >= 0.15
