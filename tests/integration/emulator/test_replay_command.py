"""``sigma replay`` as a user starts and ends it, with a client of the venue beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

REPLAY = [sys.executable, "-m", "sigma_bot.cli.main", "replay"]


@pytest.fixture
def replay():
    """Starts the command on a free port; gives the process, its address and the lines it said."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str, list[str]]:
        process = subprocess.Popen(
            [*REPLAY, *arguments, "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        started.append(process)
        said: list[str] = []
        while not said or "SIGMA_API_KEY" not in said[-1]:
            line = process.stdout.readline()
            assert line, said
            said.append(line.strip())
        return process, said[0].split(" at ")[1].partition(": ")[0], said

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(url: str, body: object = None) -> dict:
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize(("venue", "symbol"), [("upbit", "KRW-BTC"), ("binance", "BTCUSDT")])
def test_it_says_what_it_serves_plays_and_ends_with_ctrl_c(replay, venue, symbol):
    process, url, said = replay("synthetic", "--venue", venue, "--speed", "100")
    assert said[0] == f"{venue} at {url}: {symbol}"
    assert f"export SIGMA_VENUE_URL={url}" in said
    while ask(f"{url}/_emulator/state")["player"]["played"] < 10:
        pass
    market = ask(f"{url}/_emulator/state")["markets"][symbol]
    assert float(market["bid"][0]) < float(market["ask"][0])
    stopped = ask(f"{url}/_emulator/player", {"paused": True, "seek": 0})
    assert ask(f"{url}/_emulator/state")["player"]["played"] == stopped["played"]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert process.stdout.read() == "stopped\n"


def test_recorded_quotes_and_trades_are_served_as_the_venue_would(replay, shared_data, tmp_path):
    folder = tmp_path / "BTCUSDT"
    folder.mkdir()
    for kind in ("bookticker", "trades"):
        name = f"spot_btcusdt_20240808_{kind}.parquet"
        (folder / name).symlink_to(shared_data / "hftbacktest" / name)
    _, url, _ = replay(str(tmp_path), "--venue", "binance", "--symbol", "BTCUSDT", "--speed", "100")
    while ask(f"{url}/_emulator/state")["player"]["played"] < 10:
        pass
    quote = ask(f"{url}/api/v3/ticker/bookTicker?symbol=BTCUSDT")
    assert 61_000 < float(quote["bidPrice"]) < float(quote["askPrice"]) < 63_000
    with pytest.raises(urllib.error.HTTPError, match="400"):
        ask(f"{url}/api/v3/ticker/bookTicker?symbol=NIXUSDT")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("synthetic", "--symbol", "BTCUSDT"), "as in KRW-BTC"),
        (("synthetic", "--venue", "binance", "--symbol", "KRW-BTC"), "as in BTCUSDT"),
        (("synthetic", "--speed", "0"), "above 0"),
        (("nowhere",), "nowhere"),
    ],
)
def test_bad_input_is_named(arguments, word):
    done = subprocess.run([*REPLAY, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert word in done.stderr
