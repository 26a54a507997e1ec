"""Runs of one strategy in both executions, and what it means that they are the same."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma_bot.backtest.compiled import entry_for
from sigma_bot.backtest.session import CompiledSession, InterpretedSession
from sigma_bot.engine.broker import Broker
from sigma_bot.kernel.struct import dtype_of, record
from sigma_bot.strategy import Strategy
from tests.unit.engine.world import broker as make_broker

Columns = dict[str, Any]
MARGIN = {
    "leverage": "5",
    "maintenanceMargin": "0.15",
}  # close to the initial margin, so that accounts do fail
QUEUES = ("events", "samples", "event_budget")  # what a drain left in them depends on where it happened


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled code is kept in a folder of this test run, shared by its processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGMA_CACHE", str(folder))
        yield


def quiet(_rows: int) -> None:
    """Progress that nobody watches."""


def case_broker(c: dict[str, Any]) -> Broker:
    """The broker of a drawn case; see ``CASES`` in test_parity."""
    fees = {"taker": "0.0005", "maker": c["maker"], "minimum": c["minimum"]}
    market = {"tickSize": "0.01", "lotSize": "0.001", "fees": fees}
    return make_broker(
        c["kind"],
        markets=[{"symbol": f"S{i}"} | market for i in range(c["symbols"])],
        account={"cash": "10000", "type": c["account"]} | (MARGIN if c["account"] == "margin" else {}),
        execution={
            "latency": c["latency"],
            "queue": c["queue"],
            "volumeLimit": c["volume"],
            "slippage": c["slippage"],
            "slippageTicks": 1,
            "spread": c["spread"],
            "fillAt": c["fill_at"],
        },
        risk={"maxPosition": "100", "maxDailyLoss": "2000", "maxOrdersPerMinute": 500} if c["limits"] else {},
        timeframes=c["timeframes"],
    )


def pieces(columns: Columns, cuts: Sequence[int]) -> Iterator[Columns]:
    """The rows cut before each of these places."""
    ends = [*sorted(cuts), len(columns["ts"])]
    for lo, hi in zip([0, *ends], ends, strict=False):
        if hi > lo:
            yield {name: np.ascontiguousarray(values[lo:hi]) for name, values in columns.items()}


def interpreted(
    strategy: Strategy, broker: Broker, kind: str, columns: Columns, cuts: Sequence[int] = ()
) -> InterpretedSession:
    """A finished interpreted run."""
    strategy.on_start()
    session = InterpretedSession(strategy, broker, kind)
    for part in pieces(columns, cuts):
        session.feed(part, quiet)
    session.drain()
    return session


def compiled(
    strategy: Strategy, broker: Broker, kind: str, columns: Columns, cuts: Sequence[int] = ()
) -> CompiledSession:
    """A finished compiled run."""
    strategy.on_start()
    session = CompiledSession(strategy, broker, kind, entry_for(type(strategy), kind).call)
    for part in pieces(columns, cuts):
        session.feed(part, quiet)
    session.drain()
    return session


def assert_same(one: Any, other: Any) -> None:
    """Two sessions: every event, every sample, every field of broker and strategy, to the last bit."""
    same_rows("events", one.recorder.all_events(), other.recorder.all_events())
    same_rows("samples", one.recorder.all_samples(), other.recorder.all_samples())
    (s1, b1), (s2, b2) = one.finish(), other.finish()
    same_rows("broker", state(b1), state(b2))
    same_rows("strategy", state(s1), state(s2))


def same_rows(what: str, one: Any, other: Any) -> None:
    """Two structured arrays; the message names the first difference."""
    for name in one.dtype.names:
        n = min(len(one), len(other))
        a, b = np.ascontiguousarray(one[name][:n]), np.ascontiguousarray(other[name][:n])
        if a.tobytes() != b.tobytes():
            k = next(i for i in range(n) if a[i].tobytes() != b[i].tobytes())
            raise AssertionError(f"{what}[{k}].{name}: {a[k]!r} and {b[k]!r}")
    assert len(one) == len(other), f"{what}: {len(one)} and {len(other)} rows"


def state(struct: Any) -> Any:
    """A struct as a record with its padding zero and its queues left out."""
    kept = [(name, dtype_of(t)) for name, t in type(struct).__fields__.items() if name not in QUEUES]
    full, out = record(struct), np.zeros(1, kept)
    for name, _ in kept:
        out[name] = full[name]
    return out


def strategy_of(folder: Path, name: str, text: str) -> type[Strategy]:
    """The class ``Made`` of a module made from text; its source stands in a file, as compilation needs."""
    file = folder / f"{name}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    made: type[Strategy] = module.Made
    return made


Run = Callable[..., Any]
