"""The door takes a Backtest as it is written."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sigma_bot.data import open_market
from sigma_bot.errors import BadInputError
from sigma_bot.spec import BacktestSpec

T0 = 1_704_067_200_000_000_000
MINUTE = 60_000_000_000


def spec(data, period=None, symbols=("X",)):
    return BacktestSpec.model_validate(
        {
            "strategy": {"file": "s.py"},
            "markets": [{"symbol": s} for s in symbols],
            "data": data,
            "period": period or {},
        }
    )


def test_a_backtests_data_block(write, tmp_path):
    lines = "".join(f"2024-01-0{d}T00:00:00,1,2,1,2,5,0.1\n" for d in (1, 2, 3, 4))
    write("x.csv", "when,open,high,low,close,volume,rate\n" + lines)
    block = {
        "path": "x.csv",
        "columns": {"ts": "when"},
        "stamps": "open",
        "timeframe": "1d",
        "timezone": "Asia/Seoul",
    }
    market = open_market(spec(block, {"from": "2024-01-01", "to": "2024-01-03"}), tmp_path)
    rows = [t for c in market.chunks() for t in c["ts"].tolist()]
    assert rows == [T0 + d * 1440 * MINUTE - 540 * MINUTE for d in (1, 2)]
    assert (market.start, market.end) == (rows[0], rows[-1] + 1440 * MINUTE)
    assert market.warnings == []


def test_a_zone_that_nobody_wrote_is_not_meant(write, tmp_path):
    write("x.csv", "ts,open,high,low,close\n2024-01-01T00:00:00,1,1,1,1\n2024-01-01T00:01:00,1,1,1,1\n")
    with pytest.raises(BadInputError, match="time zone"):
        open_market(spec({"path": "x.csv"}), tmp_path)
    assert open_market(spec({"path": "x.csv", "timezone": "UTC"}), tmp_path).start == T0


def test_a_bot_stays_small():
    heavy = "('numpy', 'pyarrow', 'pydantic')"
    code = f"import sys, sigma_bot.model.ticks; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_reading_needs_no_pandas(write, tmp_path):
    write("x.csv", "ts,open,high,low,close\n1704067200,1,1,1,1\n1704067260,1,1,1,1\n")
    code = (
        "import sys; from pathlib import Path; from sigma_bot.data.market import *\n"
        f"m = open_request(Request((Wanted('X'),), path='x.csv', base=Path({str(tmp_path)!r})))\n"
        "print(sum(len(c['ts']) for c in m.chunks()), [m for m in ('pandas', 'numba') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "2 []"
