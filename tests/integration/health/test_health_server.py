"""The health port over real sockets, and the watchdog over real endless loops in the main thread."""

from __future__ import annotations

import http.client
import json
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sigma_bot.errors import BadInputError, StrategyError
from sigma_bot.health.heartbeat import Heartbeat
from sigma_bot.health.logs import JsonFormatter, about
from sigma_bot.health.metrics import BotMetrics
from sigma_bot.health.server import (
    LARGEST_REQUEST,
    MOST_CONNECTIONS,
    SERVED_AT_ONCE,
    HealthServer,
    Pages,
    Readiness,
)
from sigma_bot.health.watchdog import SIGNAL, Watchdog


@pytest.fixture
def heartbeat() -> Heartbeat:
    return Heartbeat(callback_limit_s=0.2)


@pytest.fixture
def server(heartbeat: Heartbeat) -> Iterator[HealthServer]:
    metrics = BotMetrics({"strategy": "loop"})
    pages = Pages(
        heartbeat, lambda: Readiness(True, "Trading", "well"), lambda: {"bot": "loop"}, metrics.text
    )
    server = HealthServer(pages, 0, patience_s=1.0)
    server.start()
    yield server
    server.close()


@pytest.fixture
def watchdog(heartbeat: Heartbeat) -> Iterator[Watchdog]:
    watchdog = Watchdog(heartbeat, end_after_s=60, poll_s=0.02)
    watchdog.start()
    yield watchdog
    watchdog.close()


def get(server: HealthServer, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", path)
    response = connection.getresponse()
    status, body = response.status, response.read()
    connection.close()
    return status, body


def raw(server: HealthServer, sent: bytes) -> bytes:
    """What comes back for these bytes; a connection that is reset says nothing more."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        received = b""
        try:
            line.sendall(sent)
            while piece := line.recv(65536):
                received += piece
        except (ConnectionResetError, BrokenPipeError):
            pass  # the rest of a request that is too long is not read
        return received


def test_the_four_pages_over_http(server: HealthServer) -> None:
    assert get(server, "/healthz")[0] == 200
    assert json.loads(get(server, "/readyz")[1]) == {"ready": True, "reason": "Trading", "message": "well"}
    assert json.loads(get(server, "/status")[1]) == {"bot": "loop"}
    status, body = get(server, "/metrics")
    assert status == 200
    assert b'sigma_bot_info{strategy="loop"} 1.0' in body


def test_an_endless_loop_is_reported_named_and_ended(
    server: HealthServer, heartbeat: Heartbeat, watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    """The callback loops in the main thread; another thread probes, then halts."""
    seen: list[tuple[int, bytes]] = []

    def probe_then_halt() -> None:
        while not watchdog.stack:
            time.sleep(0.01)
        seen.append(get(server, "/healthz"))
        seen.append(get(server, "/readyz"))
        assert watchdog.stop_callback("halted by the user")

    def on_tick() -> None:
        turns = 0
        while True:
            try:
                turns += 1
            except Exception:  # noqa: BLE001 - what users write
                continue

    with caplog.at_level(logging.ERROR), ThreadPoolExecutor(1) as pool:
        probe = pool.submit(probe_then_halt)
        with pytest.raises(StrategyError, match="on_tick was stopped: halted by the user") as stopped:
            heartbeat.run_callback("on_tick", on_tick)
        probe.result()
    assert "test_health_server.py" in str(stopped.value)
    assert "in on_tick" in str(stopped.value)
    for status, body in seen:
        assert status == 503
        assert json.loads(body)["reason"] == "Stuck"
        assert "in on_tick" in json.loads(body)["message"]
    (record,) = [r for r in caplog.records if r.name == "sigma_bot.health.watchdog"]
    assert "in on_tick\n" in record.getMessage()
    assert get(server, "/healthz")[0] == 200


def test_a_sleeping_callback_is_ended_too(heartbeat: Heartbeat, watchdog: Watchdog) -> None:
    def on_bar() -> None:
        threading.Timer(0.05, lambda: watchdog.stop_callback("halted")).start()
        time.sleep(600)

    with pytest.raises(StrategyError, match="on_bar was stopped: halted"):
        heartbeat.run_callback("on_bar", on_bar)


def test_a_callback_that_never_returns_is_ended_by_itself(
    heartbeat: Heartbeat, caplog: pytest.LogCaptureFixture
) -> None:
    """What the watchdog's thread logs of it is of the strategy that the watchdog was started for."""
    caplog.handler.setFormatter(JsonFormatter())
    watchdog = Watchdog(heartbeat, end_after_s=0.3, poll_s=0.02)
    with about(strategy="stuck"):
        watchdog.start()

    def on_tick() -> None:
        while True:
            try:
                time.sleep(600)
            except BaseException:  # noqa: BLE001 - held up once, and asked again
                time.sleep(600)

    try:
        with pytest.raises(StrategyError, match=r"had not returned for 0\.3 s"):
            heartbeat.run_callback("on_tick", on_tick)
    finally:
        watchdog.close()
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    assert {line["strategy"] for line in lines if "has not advanced" in line["message"]} == {"stuck"}


def test_nothing_is_stopped_when_no_callback_runs(heartbeat: Heartbeat, watchdog: Watchdog) -> None:
    assert not watchdog.stop_callback("halted")
    signal.raise_signal(SIGNAL)  # late: the callback has returned meanwhile
    assert heartbeat.run_callback("on_tick", lambda: 3) == 3


def test_closing_gives_the_signal_back(heartbeat: Heartbeat) -> None:
    before = signal.getsignal(SIGNAL)
    watchdog = Watchdog(heartbeat)
    watchdog.start()
    assert signal.getsignal(SIGNAL) != before
    watchdog.close()
    assert signal.getsignal(SIGNAL) == before


def test_a_loop_outside_the_main_thread_is_refused() -> None:
    with ThreadPoolExecutor(1) as pool:
        elsewhere = pool.submit(Heartbeat).result()
    with pytest.raises(ValueError, match="main thread"):
        Watchdog(elsewhere)


def test_a_request_that_is_too_large_is_refused(server: HealthServer) -> None:
    answer = raw(server, b"GET / HTTP/1.1\r\nX: " + b"a" * (4 * LARGEST_REQUEST))
    assert answer.startswith(b"HTTP/1.1 431") or answer == b""
    raw(server, b"\x00" * 1_000_000)
    assert get(server, "/healthz")[0] == 200


def test_a_request_that_never_ends_is_given_up(server: HealthServer) -> None:
    assert raw(server, b"GET /healthz HTTP/1.1\r\nHost").startswith(b"HTTP/1.1 408")


def test_a_client_that_leaves_early_disturbs_nobody(server: HealthServer) -> None:
    for _ in range(50):
        socket.create_connection(("127.0.0.1", server.port)).close()
    assert get(server, "/healthz")[0] == 200


def test_idle_connections_keep_a_probe_waiting_no_longer_than_they_are_given(server: HealthServer) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(SERVED_AT_ONCE)]
    assert get(server, "/healthz")[0] == 200
    for line in idle:
        assert line.recv(100).startswith(b"HTTP/1.1 408")
        line.close()


def test_connections_beyond_the_most_are_dropped_at_once(heartbeat: Heartbeat) -> None:
    pages = Pages(heartbeat, lambda: Readiness(True, "Trading", ""), dict, bytes)
    server = HealthServer(pages, 0, patience_s=60)
    server.start()
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(MOST_CONNECTIONS)]
    assert raw(server, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
    for line in idle:
        line.close()
    assert get(server, "/healthz")[0] == 200
    server.close()


def test_many_at_once(server: HealthServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: get(server, "/metrics")[0], range(80)))
    assert found == [200] * 80


async def test_it_starts_inside_a_running_event_loop(heartbeat: Heartbeat) -> None:
    server = HealthServer(Pages(heartbeat, lambda: Readiness(True, "Trading", ""), dict, bytes), 0)
    server.start()
    assert get(server, "/healthz")[0] == 200
    server.close()


def test_a_taken_port_is_named(server: HealthServer, heartbeat: Heartbeat) -> None:
    with pytest.raises(BadInputError, match=f"SIGMA_HEALTH_PORT: can't listen on 127.0.0.1:{server.port}"):
        HealthServer(server.pages, server.port).start()


def test_closing_frees_the_port_and_the_thread(heartbeat: Heartbeat) -> None:
    before = threading.active_count()
    server = HealthServer(Pages(heartbeat, lambda: Readiness(True, "Trading", ""), dict, bytes), 0)
    server.start()
    waiting = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    assert get(server, "/healthz")[0] == 200  # by now the first connection is being served too
    server.close()
    assert waiting.recv(10) == b""
    waiting.close()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
