"""The digest of a run: the same wherever it is computed, another one when anything that counts changes."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma_bot.backtest import session as sessions
from sigma_bot.data.synthetic import synthetic_bars
from tests.integration.engine.digest_cases import (
    CASES,
    MARKET,
    STEPS,
    STRATEGY,
    digests,
    run_case,
    write_code,
)

# A change of one of these says: runs that users have stored will not come out the same again. When that is
# meant, find the first order or fill that differs, say why in the commit, and write the new digest down.
# When it is not meant, it is a defect. Never change one to make a test pass.
PINNED = {
    "ticks": "bd84e1eb640bb98592f51a7297ee18f5259e317534b126e3f2a677d38b8494ad",
    "bars": "a2e5865b3d9fcde5ae7c168b1505095caff6507119e91ef624bb3264c08123c3",
    "sample": "ea0516cb33a4e941f7cfa9ae7d7ba2e746fc2838ffbc4e88320e27aad7a1064f",
}
# glibc takes other code for exp, log and pow where the processor has no fused multiply-add.
OTHER_PROCESSOR = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2,-FMA4"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with code and data."""
    folder = tmp_path_factory.mktemp("base")
    write_code(folder)
    write_rows(folder, rows())
    return folder


def test_pinned_digests(base: Path) -> None:
    assert digests("interpreted", base) == PINNED


@pytest.mark.parametrize(
    ("engine", "environment"),
    [
        ("compiled", {"PYTHONHASHSEED": "1", "TZ": "Asia/Seoul"}),
        ("compiled", OTHER_PROCESSOR),
        ("interpreted", OTHER_PROCESSOR | {"PYTHONHASHSEED": "2", "LC_ALL": "C"}),
    ],
    ids=["compiled", "compiled without FMA", "interpreted without FMA"],
)
def test_another_process_computes_the_same(engine: str, environment: dict[str, str], base: Path) -> None:
    root = Path(__file__).parents[3]
    paths = os.pathsep.join([str(root / "bot"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    script = Path(__file__).with_name("digest_cases.py")
    done = subprocess.run(
        [sys.executable, script, engine, base],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == PINNED


def test_the_pinned_runs_have_something_to_say(base: Path) -> None:
    for name, spec in CASES.items():
        result = run_case(spec, base)
        assert result.counts["fills"] > 50, name
        assert len({(o["kind"], o["status"]) for o in result.orders}) >= 5, name
        assert result.digests["libm"] == "", (
            "engine and indicators call nothing of the C library's that rounds"
        )


# --- what changes it and what does not, on bars of a file

SMALL: dict[str, Any] = {
    "markets": [MARKET],
    "data": {"path": "data.csv", "stamps": "open"},
    "account": {"type": "margin", "cash": "20000"},
}
HEAD = "time,open,high,low,close,volume"


def rows(n: int = 600) -> list[str]:
    """Minute bars as lines of CSV."""
    c = synthetic_bars(n, 5)
    times = c["ts"].astype("datetime64[ns]").astype("datetime64[s]").astype(str)
    columns = [c[k].tolist() for k in ("open", "high", "low", "close", "volume")]
    return [f"{t}Z," + ",".join(f"{x!r}" for x in row) for t, *row in zip(times, *columns, strict=True)]


@pytest.fixture(scope="module")
def digest(base: Path) -> str:
    """The digest of SMALL as it stands."""
    return run_case(SMALL, base).digest


def write_rows(folder: Path, lines: list[str], name: str = "data.csv") -> None:
    text = "\n".join([HEAD, *lines]) + "\n"
    raw = text.encode()
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)


def other(**changes: Any) -> dict[str, Any]:
    """SMALL with blocks changed."""
    return {
        name: {**SMALL.get(name, {}), **value} if isinstance(value, dict) else value
        for name, value in {**SMALL, **changes}.items()
    }


FEES = MARKET["fees"]
COUNTS_FOR: dict[str, dict[str, Any]] = {
    "parameter": other(strategy={"file": "pinned.py", "params": {"fast": 9}}),
    "taker fee": other(markets=[MARKET | {"fees": FEES | {"taker": "0.0006"}}]),
    "maker fee": other(markets=[MARKET | {"fees": FEES | {"maker": "-0.0002"}}]),
    "minimum fee": other(markets=[MARKET | {"fees": FEES | {"minimum": "0.02"}}]),
    "lot": other(markets=[MARKET | {"lotSize": "0.01"}]),
    "price step": other(markets=[MARKET | {"tickSize": "0.05"}]),
    "latency": other(execution={"latency": "2m"}),
    "spread": other(execution={"spread": "0.0003"}),
    "slippage": other(execution={"slippageTicks": 1}),
    "fill": other(execution={"fillAt": "close"}),
    "volume": other(execution={"volumeLimit": "0.2"}),
    "cash": other(account={"cash": "20001"}),
    "leverage": other(account={"leverage": "2"}),
    "risk": other(risk={"maxPosition": "3"}),
    "warm-up": other(warmup="1h"),
    "from": other(period={"from": "2024-01-01T00:01:00Z"}),
    "to": other(period={"to": "2024-01-01T09:59:00Z"}),
    "timeframes": other(timeframes=["1m", "5m"]),
    "stamps": other(data={"stamps": "close"}),
}


@pytest.mark.parametrize("case", COUNTS_FOR)
def test_an_assumption_changes_it(case: str, base: Path, digest: str) -> None:
    assert run_case(COUNTS_FOR[case], base).digest != digest


def test_code_changes_it_also_of_a_helper(tmp_path: Path, base: Path, digest: str) -> None:
    changes = [
        (STRATEGY.replace("quick > calm", "quick >= calm"), STEPS),
        (STRATEGY.replace("param(21", "param(22"), STEPS),
        (STRATEGY, STEPS.replace("13", "17")),
    ]
    found = {digest}
    for i, (strategy, steps) in enumerate(changes):
        folder = tmp_path / str(i)
        write_code(folder, strategy, steps)
        write_rows(folder, rows())
        found.add(run_case(SMALL, folder).digest)
    assert len(found) == 4


@pytest.mark.parametrize("column", range(1, 6))
def test_a_single_value_of_the_data_changes_it(column: int, tmp_path: Path, digest: str) -> None:
    lines = rows()
    cells = lines[333].split(",")
    high, low = float(cells[2]), float(cells[3])
    inside = {
        1: (high + low) / 2,
        2: high + 0.01,
        3: low - 0.01,
        4: (high + low) / 2,
        5: float(cells[5]) + 0.001,
    }
    value = round(inside[column], 3)
    assert repr(value) != cells[column]
    cells[column] = repr(value)
    lines[333] = ",".join(cells)
    write_code(tmp_path)
    write_rows(tmp_path, lines)
    assert run_case(SMALL, tmp_path).digest != digest


def test_a_time_or_a_row_of_the_data_changes_it(tmp_path: Path, digest: str) -> None:
    lines = rows()
    for i, changed in enumerate([lines[:-1], lines[:300] + lines[301:]]):
        folder = tmp_path / str(i)
        write_code(folder)
        write_rows(folder, changed)
        assert run_case(SMALL, folder).digest != digest


def test_funding_changes_it(tmp_path: Path, base: Path, digest: str) -> None:
    found = {digest}
    for rate in ("0.0001", "0.0002"):
        (base / "funding.csv").write_text(f"time,rate\n2024-01-01T04:00:00Z,{rate}\n")
        result = run_case(other(data={"funding": "funding.csv"}), base)
        found.add(result.digest)
        assert result.final["funding"] != 0
        same = run_case(other(data={"funding": "funding.csv"}), base, "compiled")
        assert same.digest == result.digest
    assert len(found) == 3


def test_what_decides_nothing_leaves_it(tmp_path: Path, base: Path, digest: str) -> None:
    moved = tmp_path / "elsewhere" / "deep"
    write_code(moved)
    write_rows(moved, rows(), "prices.csv.gz")
    variants = {
        "compiled": run_case(SMALL, base, "compiled"),
        "place, name and packing of the files": run_case(other(data={"path": "prices.csv.gz"}), moved),
        "name of the manifest": run_case(SMALL, base, name="another"),
        "report": run_case(other(report={"html": "somewhere.html"}), base),
        "class by name": run_case(other(strategy={"file": "pinned.py", "class": "Pinned"}), base),
        "default given": run_case(other(strategy={"file": "pinned.py", "params": {"fast": 8}}), base),
        "assumption given that holds anyway": run_case(other(execution={"latency": "50ms"}), base),
    }
    assert {name: result.digest for name, result in variants.items()} == dict.fromkeys(variants, digest)


def test_parquet_of_the_same_rows_leaves_it(tmp_path: Path, digest: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    c = synthetic_bars(600, 5)
    table = pa.table(
        {
            "time": pa.array(c["ts"].astype("datetime64[ns]"), pa.timestamp("ns", "UTC")),
            **{k: c[k] for k in ("open", "high", "low", "close", "volume")},
        }
    )
    pq.write_table(table, tmp_path / "data.parquet", row_group_size=77)
    write_code(tmp_path)
    assert run_case(other(data={"path": "data.parquet"}), tmp_path).digest == digest


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
def test_the_cut_into_chunks_leaves_it(engine: str, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # payments on the times of rows, of both symbols, and beyond the last row
    times = ("00:05:00", "00:05:00.1", "00:11:07.3", "00:29:59.9", "00:30:00", "03:00:00")
    paid = "".join(f"2024-01-01T{t}Z,{s},0.00{n + 1}\n" for n, t in enumerate(times) for s in ("AAA", "BBB"))
    (base / "payments.csv").write_text("time,symbol,rate\n" + paid)
    spec = CASES["ticks"] | {"data": {"source": "synthetic", "funding": "payments.csv"}}
    whole = run_case(spec, base, engine)
    assert whole.final["funding"] != 0
    assert whole.digest == run_case(spec, base).digest
    rng = np.random.default_rng(4)

    def ragged(chunks: Any, rows: int = 0, small: int = 0) -> Any:
        for chunk in chunks:
            size = len(chunk["ts"])
            cuts = np.unique([0, *rng.integers(1, size, 9), size])
            for lo, hi in itertools.pairwise(cuts):
                yield {n: np.ascontiguousarray(v[lo:hi]) for n, v in chunk.items()}

    monkeypatch.setattr("sigma_bot.data.market.rechunk", ragged)
    monkeypatch.setattr(sessions, "CHECKPOINT", 1009)
    monkeypatch.setattr(sessions, "BATCH", 503)
    assert run_case(spec, base, engine).digest == whole.digest


def test_what_the_c_library_rounds_is_named(tmp_path: Path) -> None:
    write_code(
        tmp_path,
        "import math\n"
        + STRATEGY.replace("self.rows += 1", "self.rows += 1 if math.exp(quick * 0.0) > 0 else 2"),
    )
    write_rows(tmp_path, rows())
    result = run_case(SMALL, tmp_path)
    assert result.digests["libm"] == "exp"
    assert any("exp" in w and "last bit" in w for w in result.warnings)
