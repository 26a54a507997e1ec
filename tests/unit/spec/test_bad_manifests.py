"""Every way we know to write a manifest wrong: the message names the line, the place and what is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from sigma_bot.errors import BadInputError
from sigma_bot.spec import load_manifest

BACKTEST = """\
apiVersion: sigma-x.io/v1alpha1
kind: Backtest
metadata:
  name: demo
spec:
  strategy:
    file: demo.py
  markets:
    - symbol: GOOG
  data:
    path: goog.csv
  account:
    cash: "10000"
"""
LIVE = """\
apiVersion: sigma-x.io/v1alpha1
kind: Strategy
metadata:
  name: demo
spec:
  mode: live
  strategy:
    file: demo.py
  markets:
    - symbol: KRW-BTC
      rules: upbit
  account:
    venue: upbit
    name: main
    currency: KRW
    cash: "1000000"
    secretRef: {name: keys}
    confirm: {account: main, maxLoss: "30000"}
  risk:
    maxPosition: "1"
    maxNotional: "500000"
    maxDailyLoss: "30000"
    staleAfter: 10s
"""

# (line of the good manifest, what stands there instead with "#!" on the line to be named, what is said)
CASES = [
    # unknown and misplaced fields
    ("spec:", "status2: {} #!\nspec:", "status2: unknown field"),
    ("spec:", "spec:\n  acount: {} #!", "spec.acount: unknown field; did you mean 'account'?"),
    ("spec:", 'spec:\n  cash: "5" #!', "spec.cash: unknown field; it belongs in spec.account"),
    ("    cash", '    cassh: "5" #!', "spec.account.cassh: unknown field; did you mean 'cash'?"),
    (
        "spec:",
        "spec:\n  execution:\n    latencyy: 50ms #!",
        "spec.execution.latencyy: unknown field; did you mean 'latency'?",
    ),
    (
        "spec:",
        "spec:\n  execution:\n    fill_at: close #!",
        "spec.execution.fill_at: unknown field; did you mean 'fillAt'?",
    ),
    ("spec:", "spec:\n  execution:\n    latencyy: #!", "spec.execution.latencyy: unknown field"),
    (
        "    - symbol",
        '    - symbol: GOOG\n      ticksize: "1" #!',
        "spec.markets[0].ticksize: unknown field; did you mean 'tickSize'?",
    ),
    (
        "    - symbol",
        '    - symbol: GOOG\n      fees: {takr: "0"} #!',
        "spec.markets[0].fees.takr: unknown field; did you mean 'taker'?",
    ),
    ("  name", "  name: demo\n  label: {a: b} #!", "metadata.label: unknown field; did you mean 'labels'?"),
    ("spec:", "spec:\n  zzz: 1 #!", "spec.zzz: unknown field; known here: strategy, markets,"),
    # missing
    ("apiVersion", "#!", "apiVersion: is missing: group and version of the format"),
    ("  name", "  namespace: demo #!", "metadata.name: is missing: name of the object"),
    ("    - symbol", '    - tickSize: "1" #!', "spec.markets[0].symbol: is missing: name of the symbol"),
    ("    file", "    class: Demo #!", "spec.strategy.file: is missing: name the Python file"),
    (
        "    path",
        "    kind: bars #!",
        "spec.data.path: is missing: no data for GOOG; name a CSV or Parquet file",
    ),
    # kinds and versions
    (
        "kind",
        "kind: Backtst #!",
        'kind: must be "Backtest" or "Strategy", got "Backtst"; did you mean \'Backtest\'?',
    ),
    ("kind", "#!", "kind: is missing; a manifest begins with 'apiVersion: sigma-x.io/v1alpha1'"),
    (
        "apiVersion",
        "apiVersion: sigma-x.io/v1 #!",
        "apiVersion: must be 'sigma-x.io/v1alpha1', got \"sigma-x.io/v1\"",
    ),
    ("apiVersion", "apiVersion: 1 #!", "apiVersion: must be 'sigma-x.io/v1alpha1', got 1"),
    # names
    (
        "  name",
        "  name: Demo_1 #!",
        'metadata.name: must be at most 52 lower-case letters, digits and "-", like "ema-cross"',
    ),
    ("  name", "  name: 12 #!", 'metadata.name: must be text, got 12: put it in quotes, "12"'),
    (
        "    - symbol",
        "    - symbol: 005930 #!",
        'spec.markets[0].symbol: must be text, got 005930: put it in quotes, "005930"',
    ),
    (
        "    - symbol",
        "    - symbol: 5930 #!",
        'spec.markets[0].symbol: must be text, got 5930: put it in quotes, "5930"',
    ),
    (
        "    - symbol",
        '    - symbol: "BTC USDT" #!',
        'spec.markets[0].symbol: must be a symbol like "BTC/USDT"',
    ),
    (
        "    file",
        "    file: demo.py\n    class: my-class #!",
        'spec.strategy.class: must be the name of a Python class, like "EmaCross", got "my-class"',
    ),
    (
        "    cash",
        "    currency: usd #!",
        'spec.account.currency: must be a currency in capitals, like "USD", "USDT" or "KRW", got "usd"',
    ),
    # amounts
    (
        "    cash",
        "    cash: 10000 #!",
        'spec.account.cash: must be text, got 10000: write it as text: "10000"',
    ),
    ("    cash", "    cash: 0.1 #!", 'spec.account.cash: must be text, got 0.1: write it as text: "0.1"'),
    ("    cash", "    cash: true #!", 'spec.account.cash: must be text, got true: write it as text: "10000"'),
    ("    cash", '    cash: "-5" #!', 'spec.account.cash: must be above 0, got "-5"'),
    ("    cash", '    cash: "0" #!', 'spec.account.cash: must be above 0, got "0"'),
    (
        "    cash",
        '    cash: "10,000" #!',
        'spec.account.cash: must be a decimal number like "10000", got "10,000"; write "10000"',
    ),
    (
        "    cash",
        '    cash: "1e4" #!',
        'spec.account.cash: must be a decimal number like "10000", got "1e4"; write "10000"',
    ),
    (
        "    cash",
        '    cash: "much" #!',
        'spec.account.cash: must be a decimal number like "10000", got "much"',
    ),
    ("    cash", '    cash: "NaN" #!', 'spec.account.cash: must be a decimal number like "10000", got "NaN"'),
    ("    cash", "    cash: [1] #!", "spec.account.cash: must be text, got a list"),
    (
        "    cash",
        '    cash: "1.123456789" #!',
        'spec.account.cash: has more decimals than "precision: 8" keeps',
    ),
    (
        "    cash",
        '    cash: "10000000000" #!',
        'with "precision: 8" is too large to count exactly; set "precision: 7" or less',
    ),
    (
        "    - symbol",
        '    - symbol: GOOG\n      tickSize: "0" #!',
        'spec.markets[0].tickSize: must be above 0, got "0"',
    ),
    (
        "    - symbol",
        '    - symbol: GOOG\n      lotSize: "0.0000000000001" #!',
        "spec.markets[0].lotSize: must have at most 12 decimals",
    ),
    # fractions
    (
        "    - symbol",
        '    - symbol: GOOG\n      fees: {taker: "0.1%"} #!',
        'spec.markets[0].fees.taker: must be a decimal number like "0.001", got "0.1%"; write "0.001"',
    ),
    (
        "    - symbol",
        '    - symbol: GOOG\n      fees: {taker: "0.25"} #!',
        'spec.markets[0].fees.taker: must be at most 0.1, got "0.25" (a fraction: one percent is "0.01")',
    ),
    (
        "spec:",
        'spec:\n  execution: {slippage: "-0.1"} #!',
        'spec.execution.slippage: must be at least 0, got "-0.1"',
    ),
    (
        "spec:",
        'spec:\n  risk: {maxDrawdown: "20"} #!',
        'spec.risk.maxDrawdown: must be at most 1, got "20" (a fraction: one percent is "0.01")',
    ),
    # whole numbers and switches
    (
        "    cash",
        '    precision: "8" #!',
        'spec.account.precision: must be a whole number without quotes, got "8"',
    ),
    (
        "    cash",
        "    precision: 8.5 #!",
        "spec.account.precision: must be a whole number without quotes, got 8.5",
    ),
    ("    cash", "    precision: 13 #!", "spec.account.precision: must be at most 12, got 13"),
    ("spec:", "spec:\n  risk: {maxOpenOrders: 0} #!", "spec.risk.maxOpenOrders: must be at least 1, got 0"),
    (
        "spec:",
        'spec:\n  execution: {queue: "yes"} #!',
        'spec.execution.queue: must be true or false, got "yes"',
    ),
    # times
    (
        "spec:",
        "spec:\n  execution: {latency: 50} #!",
        'spec.execution.latency: must be text like "5m", got 50',
    ),
    (
        "spec:",
        "spec:\n  execution: {latency: 50 ms} #!",
        'spec.execution.latency: must be a whole number and a unit: "100ms", "30s", "5m", "1h" or "1d", got',
    ),
    (
        "spec:",
        "spec:\n  execution: {latency: 2h} #!",
        'spec.execution.latency: must be from 0s to 1h, got "2h"',
    ),
    ("spec:", "spec:\n  timeframes: [1m, 5min] #!", "spec.timeframes[1]: must be a whole number and a unit"),
    ("spec:", "spec:\n  timeframes: [1M] #!", "spec.timeframes[0]: must be a whole number and a unit"),
    ("spec:", "spec:\n  timeframes: [60] #!", 'spec.timeframes[0]: must be text like "5m", got 60'),
    (
        "spec:",
        "spec:\n  timeframes: 1m #!",
        'spec.timeframes: must be a list (lines that begin with "- "), got "1m"',
    ),
    ("spec:", "spec:\n  timeframes: [1m, 1h, 60s] #!", 'spec.timeframes[2]: "60s" stands twice'),
    (
        "spec:",
        "spec:\n  timeframes: [1m, 2m, 3m, 4m, 5m, 6m, 7m, 8m, 9m] #!",
        "spec.timeframes: must have at most 8 entries, got 9",
    ),
    ("spec:", "spec:\n  period: {from: 01/02/2024} #!", 'spec.period.from: must be a date: "2024-01-31"'),
    ("spec:", "spec:\n  period: {from: 2024-13-01} #!", 'spec.period.from: must be a date: "2024-01-31"'),
    (
        "spec:",
        "spec:\n  period: {from: 2024-01-01T09:00:00} #!",
        'spec.period.from: must say its offset from UTC: "2024-01-01T09:00:00Z"',
    ),
    ("spec:", "spec:\n  period: {from: 1724-01-01} #!", "spec.period.from: must lie between 1970 and 2199"),
    (
        "spec:",
        "spec:\n  period: {from: 2024-01-02, to: 2024-01-01} #!",
        'spec.period.from: must be before "to" ("2024-01-01"), got "2024-01-02"',
    ),
    (
        "spec:",
        "spec:\n  risk: {dayStart: KST} #!",
        'spec.risk.dayStart: must be an offset from UTC like "+09:00", got "KST"',
    ),
    (
        "    path",
        "    path: x\n    timezone: Asia/Seol #!",
        "got \"Asia/Seol\"; did you mean 'Asia/Seoul'?",
    ),
    # choices
    (
        "    path",
        "    source: fil #!",
        "spec.data.source: must be 'file', 'catalogue', 'sample' or 'synthetic', got \"fil\"; did you mean",
    ),
    (
        "    path",
        "    path: x\n    stamps: opening #!",
        "spec.data.stamps: must be 'auto', 'open' or 'close', got \"opening\"",
    ),
    (
        "    - symbol",
        "    - symbol: KRW-BTC\n      rules: upbitt #!",
        "spec.markets[0].rules: must be 'upbit', 'bithumb' or 'binance', got \"upbitt\"; did you mean",
    ),
    ("    cash", "    type: futures #!", "spec.account.type: must be 'cash' or 'margin', got \"futures\""),
    # shapes
    (
        "    - symbol",
        "    symbol: GOOG",
        'spec.markets: must be a list (lines that begin with "- "), got a mapping',
    ),
    (
        "    - symbol",
        "    - GOOG #!",
        'spec.markets[0]: must be a mapping (lines like "name: value"), got "GOOG"',
    ),
    ("    - symbol", "    []", "spec.markets: must have at least 1 entry, got 0"),
    (
        "    file",
        "    file: demo.py\n    params: [1] #!",
        'spec.strategy.params: must be a mapping (lines like "name: value"), got a list',
    ),
    (
        "    file",
        "    file: demo.py\n    params: {fast: quick} #!",
        'spec.strategy.params.fast: must be a number, true or false, got "quick"',
    ),
    (
        "    file",
        "    file: demo.py\n    params: {fast: .nan} #!",
        "spec.strategy.params.fast: must be a finite number, got nan",
    ),
    (
        "    file",
        "    file: demo.py\n    params: {fast: 99999999999999999999} #!",
        "spec.strategy.params.fast: must fit 64 bits",
    ),
    (
        "    file",
        "    file: demo.py\n    params: {fast-ema: 1} #!",
        'spec.strategy.params.fast-ema: must be the name of a parameter, like "fast", got "fast-ema"',
    ),
    # across fields
    (
        "    file",
        "    file: demo.py\n    code: x = 1 #!",
        "spec.strategy.code: leave it out or leave 'file' out",
    ),
    (
        "    cash",
        '    leverage: "3" #!',
        'spec.account.leverage: must be "1" on a cash account, got "3"; set "type: margin" to borrow',
    ),
    (
        "    cash",
        '    {type: margin, leverage: "10", maintenanceMargin: "0.1"} #!',
        "spec.account.maintenanceMargin: must be below 1 / leverage",
    ),
    (
        "    - symbol",
        "    - symbol: GOOG\n    - symbol: GOOG #!",
        'spec.markets[1].symbol: "GOOG" stands already in spec.markets[0]: give each symbol once',
    ),
    (
        "    - symbol",
        '    - {symbol: GOOG, tickSize: "1", priceBands: [{from: "0", tick: "1"}]} #!',
        "spec.markets[0].priceBands: leave it out or leave 'tickSize' out",
    ),
    (
        "    - symbol",
        '    - {symbol: GOOG, priceBands: [{from: "5", tick: "1"}]} #!',
        'spec.markets[0].priceBands[0].from: the first band must start at "0", got "5"',
    ),
    (
        "    - symbol",
        '    - {symbol: GOOG, priceBands: [{from: "0", tick: "1"}, {from: "0", tick: "2"}]} #!',
        'spec.markets[0].priceBands[1].from: bands must rise: it must be above "0", got "0"',
    ),
    (
        "    - symbol",
        "    - {symbol: BTC/USDT, rules: binance} #!",
        "spec.markets[0].tickSize: is missing: on Binance it differs by symbol",
    ),
    (
        "    - symbol",
        "    - {symbol: BTC/USDT, rules: upbit} #!",
        'spec.markets[0].rules: upbit presets know won markets only ("KRW-BTC" or "BTC/KRW"), got "BTC/USDT"',
    ),
    (
        "    path",
        "    {path: x, kind: trades, timeframe: 1m} #!",
        "spec.data.timeframe: leave it out: trades have none",
    ),
    # YAML
    (
        "    cash",
        '    cash: "1"\n    cash: "2" #!',
        "spec.account.cash: stands twice, first in line 13: keep one",
    ),
    ("    cash", '\tcash: "1" #!', "not valid YAML: a tab in front of a field; indent with spaces"),
    ("    cash", "    cash: {1, 2 #!", "not valid YAML: while parsing a flow mapping"),
    (
        "    cash",
        '    cash: !!binary "10" #!',
        "spec.account.cash: the tag tag:yaml.org,2002:binary is not supported",
    ),
    ("    cash", "    <<: {a: 1} #!", 'spec.account: merge keys ("<<") are not supported'),
    ("    cash", "    [1]: 2 #!", "spec.account: a field's name must be text"),
]

LIVE_CASES = [
    ("    secretRef", "    #!", 'spec.account.secretRef: is missing: "mode: live" needs the Secret'),
    ("    confirm", "    #!", "spec.account.confirm: is missing"),
    (
        "    confirm",
        '    confirm: {account: other, maxLoss: "30000"} #!',
        'spec.account.confirm.account: must be the account\'s name, "main", got "other"',
    ),
    (
        "    confirm",
        '    confirm: {account: main, maxLoss: "50000"} #!',
        'spec.account.confirm.maxLoss: must equal spec.risk.maxDailyLoss, "30000", got "50000"',
    ),
    ("    maxPosition", "    #!", 'spec.risk.maxPosition: is missing: "mode: live" needs this limit'),
    ("    maxNotional", "    #!", 'spec.risk.maxNotional: is missing: "mode: live" needs this limit'),
    ("    maxDailyLoss", "    #!", 'spec.risk.maxDailyLoss: is missing: "mode: live" needs this limit'),
    ("    staleAfter", "    #!", 'spec.risk.staleAfter: is missing: "mode: live" needs this limit'),
    (
        "    venue",
        "    venue: upbot #!",
        "spec.account.venue: must be 'upbit', 'bithumb' or 'binance', got \"upbot\"; did you mean 'upbit'?",
    ),
    ("    venue", "    #!", "spec.account.venue: is missing: exchange that gives the prices"),
    ("  mode", "  mode: paper #!", "spec.mode: must be 'live' or 'sim', got \"paper\""),
    (
        "  mode",
        "  deletionPolicy: close #!",
        "spec.deletionPolicy: must be 'leave', 'cancel' or 'flatten', got \"close\"",
    ),
    ("  mode", "  suspend: 1 #!", "spec.suspend: must be true or false, got 1"),
    ("  mode", "  data: {path: x} #!", "spec.data: unknown field"),
]


def spoil(text: str, start: str, instead: str) -> tuple[str, int | None]:
    """The manifest with one line replaced, and the line to be named (None where a field is absent)."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(start))
    lines[at : at + 1] = instead.splitlines()
    marked = next((i for i, line in enumerate(lines, 1) if "#!" in line.strip() != "#!"), None)
    return "\n".join(lines).replace("#!", ""), marked


def message(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(BadInputError) as caught:
        load_manifest(path)
    return str(caught.value)


@pytest.mark.parametrize(("start", "instead", "says"), CASES, ids=[c[2][:60] for c in CASES])
def test_a_bad_backtest_is_explained(tmp_path: Path, start: str, instead: str, says: str) -> None:
    text, line = spoil(BACKTEST, start, instead)
    found = message(tmp_path / "m.yaml", text)
    assert says in found
    if line is not None and "is missing" not in says:
        assert f"m.yaml:{line}:" in found


@pytest.mark.parametrize(("start", "instead", "says"), LIVE_CASES, ids=[c[2][:60] for c in LIVE_CASES])
def test_a_bad_strategy_is_explained(tmp_path: Path, start: str, instead: str, says: str) -> None:
    text, line = spoil(LIVE, start, instead)
    found = message(tmp_path / "m.yaml", text)
    assert says in found
    if line is not None:
        assert f"m.yaml:{line}:" in found


def test_the_good_ones_are_good(tmp_path: Path) -> None:
    for text in (BACKTEST, LIVE):
        (tmp_path / "m.yaml").write_text(text)
        load_manifest(tmp_path / "m.yaml")


def test_there_are_enough_of_them() -> None:
    assert len(CASES) + len(LIVE_CASES) >= 60


def test_every_problem_is_reported_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = (
        BACKTEST.replace("demo.py", "demo.py\n    class: a-b").replace('"10000"', "5").replace("GOOG", "G G")
    )
    found = message(tmp_path / "m.yaml", text).splitlines()
    assert [line.split(": ")[1] for line in found] == [
        "spec.strategy.class",
        "spec.markets[0].symbol",
        "spec.account.cash",
    ]
    assert [line.split(":")[1] for line in found] == ["8", "10", "14"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; a manifest begins with"),
        (b"# only a comment\n---\n", "is empty; a manifest begins with"),
        (b"time,open\n1,2\n", 'must be a mapping of fields, got "time,open 1,2"'),
        (b"- a\n- b\n", "must be a mapping of fields, got a list"),
        (b"PAR1\xff\xfe\x00", "is not text in UTF-8"),
        (b"a" * 1_600_000, "is too large for a manifest"),
        (b"a: &a [*a]\n", "within itself"),
        (b"a: \x07\n", "not valid YAML"),
        (b"[" * 5000, "for a manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "m.yaml").write_bytes(content)
    with pytest.raises(BadInputError, match=r"m\.yaml") as caught:
        load_manifest(tmp_path / "m.yaml")
    assert says in str(caught.value)


def test_files_that_are_not_there_are_named_with_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "backtest.yaml").write_text(BACKTEST)
    for path, says in (
        ("backtst.yaml", "no such file; did you mean 'backtest.yaml'?"),
        ("nowhere/backtest.yaml", "no such file; there is no folder"),
        ("demo.py", "is a Python file; give the manifest that names it"),
        (".", "is a folder; give the manifest inside it; did you mean 'backtest.yaml'?"),
    ):
        with pytest.raises(BadInputError) as caught:
            load_manifest(tmp_path / path)
        assert says in str(caught.value)
