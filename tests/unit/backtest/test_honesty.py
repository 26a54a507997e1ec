from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sigma_bot.backtest.honesty import Honesty, check_honesty
from sigma_bot.backtest.replay import MemoryMarket
from sigma_bot.cli.main import run
from tests.unit.backtest.sweep_world import CROSS, HOUR, manifest_of, write

DAY = 24 * HOUR

READS_ITS_DATA = """
import csv
from pathlib import Path
from sigma_bot import Strategy

class Prophet(Strategy):
    best: int

    def on_start(self):
        with (Path(__file__).parent / "bars.csv").open() as f:
            closes = [float(row["close"]) for row in csv.DictReader(f)]
        self.best = closes.index(min(closes))

    def on_bar(self, bar, broker):
        if broker.row == self.best:
            broker.target_fraction(0.9)
"""

# keeps the prices of an earlier run beside itself and trades on them in the next
REMEMBERS = """
import json
from pathlib import Path
from sigma_bot import Strategy

NOTES = Path(__file__).with_name("notes.json")
SEEN = []

class Memory(Strategy):
    ahead: int

    def on_start(self):
        if NOTES.exists():
            SEEN.extend(json.loads(NOTES.read_text()))
        self.ahead = len(SEEN)

    def on_bar(self, bar, broker):
        if broker.row == 0:
            NOTES.write_text("[]")
        past = json.loads(NOTES.read_text())
        NOTES.write_text(json.dumps([*past, bar.close]))
        later = broker.row + 3
        if later < len(SEEN) and SEEN[later] > bar.close and broker.position == 0:
            broker.target_fraction(0.5)
        elif broker.row % 7 == 0 and broker.position > 0:
            broker.close()
"""

# the number of rows is known at the start, and the last ones are treated apart
COUNTS_ROWS = """
from pathlib import Path
from sigma_bot import Strategy

ROWS = Path(__file__).with_name("bars.csv").read_text().count("\\n") - 1

class Countdown(Strategy):
    calls: int

    def on_bar(self, bar, broker):
        if broker.row == ROWS - 5:
            broker.target_fraction(0.9)
"""

AT_RANDOM = """
import random
from sigma_bot import Strategy

class Dice(Strategy):
    def on_bar(self, bar, broker):
        if random.random() < 0.2:
            broker.buy(1)
"""


def checked(folder: Path, code: str = CROSS, rows: int = 1000, **spec: object) -> Honesty:
    """Interpreted: to compile each of these strategies would take longer than all of its runs."""
    return check_honesty(manifest_of(write(folder, code, rows, **spec)), folder, "interpreted")


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
def test_an_average_with_enough_warmup_is_honest(tmp_path: Path, engine: str) -> None:
    manifest = manifest_of(write(tmp_path, warmup="1d"))
    found = check_honesty(manifest, tmp_path, engine)  # type: ignore[arg-type]
    assert found.honest
    assert found.engine == engine
    assert found.decisions > 100
    assert len(found.cuts) == 8
    assert len(found.shifts) == 3


def test_a_warmup_too_short_is_found_and_the_right_one_told(tmp_path: Path) -> None:
    code = CROSS.replace("param(8, ge=2", "param(72, ge=2").replace(
        "if not self.slow_ma.ready", "if self.slow_ma.count < 2"
    )
    found = checked(tmp_path, code, warmup="4h")
    assert [f.kind for f in found.findings] == ["start"]
    assert found.findings[0].time >= found.findings[0].at + 4 * HOUR
    assert found.enough is not None
    assert (
        48 * HOUR <= found.enough <= 80 * HOUR
    )  # a mean of 72 values is the same after 72 rows at the latest
    assert checked(tmp_path, code, warmup=f"{found.enough // HOUR}h").honest


def test_a_memory_without_end_has_no_warmup(tmp_path: Path) -> None:
    code = CROSS.replace("if not self.slow_ma.ready", "if broker.row % 2 == 0")
    found = checked(tmp_path, code)
    assert [f.kind for f in found.findings] == ["start"]
    assert found.enough is None


def test_reading_its_own_data_is_found(tmp_path: Path) -> None:
    found = checked(tmp_path, READS_ITS_DATA)
    reads = [f for f in found.findings if f.kind == "read"]
    assert len(reads) == 1
    assert "strategy.py:10: on_start opens bars.csv, the data it is tested on" in reads[0].text


def test_counting_its_rows_is_found(tmp_path: Path) -> None:
    found = checked(tmp_path, COUNTS_ROWS)
    assert "strategy.py:5: <module> opens bars.csv" in found.findings[0].text


def test_a_file_that_is_not_its_data_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "holidays.csv").write_text("2024-12-25")
    code = CROSS.replace(
        "self.fast_ma.setup",
        'open(__file__.replace("strategy.py", "holidays.csv")).close()\n        self.fast_ma.setup',
    )
    found = checked(tmp_path, code, warmup="1d")
    assert found.honest
    assert any("opens holidays.csv" in note for note in found.notes)


def test_nobody_is_watched_afterwards(tmp_path: Path) -> None:
    checked(tmp_path, READS_ITS_DATA)
    found = checked(tmp_path, warmup="1d")
    assert found.honest


def test_knowledge_of_an_earlier_run_is_found_with_the_order(tmp_path: Path) -> None:
    found = checked(tmp_path, REMEMBERS, rows=200)
    assert found.engine == "interpreted"
    finding = next(f for f in found.findings if f.kind in ("repeat", "cut"))
    assert finding.full is not None or finding.part is not None
    assert finding.time > 0


def test_decisions_at_random_are_found(tmp_path: Path) -> None:
    found = checked(tmp_path, AT_RANDOM, rows=200)
    assert [f.kind for f in found.findings] == ["repeat"]


def test_a_cut_shows_an_engine_that_leaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data whose closes stand a row too early: tomorrow's price is known today, except at the cut."""

    def leaking(chunk: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        close = np.append(chunk["close"][1:], chunk["close"][-1:])
        high, low = np.maximum(chunk["high"], close), np.minimum(chunk["low"], close)
        return chunk | {"close": close, "high": high, "low": low}

    monkeypatch.setattr(MemoryMarket, "chunks", lambda market: map(leaking, market.parts))
    found = checked(tmp_path, warmup="1d")
    assert [f.kind for f in found.findings] == ["cut"]
    assert found.findings[0].time <= found.findings[0].at


def test_a_strategy_that_decides_nothing_says_so(tmp_path: Path) -> None:
    found = checked(tmp_path, CROSS.replace("fast > slow and", "fast > 1e9 and"))
    assert found.honest
    assert any("decided nothing" in note for note in found.notes)


# ---- the command


def test_exit_codes_and_words(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path, warmup="1d"))
    assert run(["check", path]) == 0
    assert "honest as far as 8 cuts and 3 late starts can tell" in capfd.readouterr().out
    write(tmp_path)
    assert run(["check", path, "--engine", "compiled"]) == 1
    out = capfd.readouterr().out
    assert "unsettled warm-up: at 2024-" in out
    assert "sends buy" in out
    assert "spec.warmup is 0s; warmup: " in out
    assert run(["check", path, "--set", "fsat=1"]) == 2
    write(
        tmp_path,
        CROSS.replace("fast = self.fast_ma", "1 // (self.fast_ma.count - 2)\n        fast = self.fast_ma"),
    )
    assert run(["check", path, "--engine", "interpreted"]) == 3
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(write(tmp_path)), "--output", "json"]) == 1
    out = json.loads(capfd.readouterr().out)
    assert out["honest"] is False
    assert out["findings"][0]["what"] == "unsettled warm-up"
    orders = [out["findings"][0][k] for k in ("full", "part")]
    assert any(order is not None and order["side"] in ("buy", "sell") for order in orders)
    assert out["findings"][0]["time"].endswith("Z")
