"""Manifests that the API server itself refuses: each message names the field and what is right.

Needs the resource definitions only, no operator: what is refused here never becomes an object.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from tests.cluster.api import ApiError, Object
from tests.cluster.onenode.client import Client
from tests.cluster.onenode.tools import ROOT

EXAMPLES = ROOT / "examples" / "ema-cross"
SWEEP = {"parameters": {"fast": "5:50:5"}}
GONE = Ellipsis  # the field is taken away


def example(file: str) -> Object:
    """An example under a name of its own."""
    manifest: Object = yaml.safe_load((EXAMPLES / file).read_text())
    manifest["metadata"]["name"] = "refused"
    return manifest


def live() -> Object:
    """A Strategy that may trade real money."""
    manifest = example("strategy.yaml")
    spec = manifest["spec"]
    spec["mode"] = "live"
    spec["account"] |= {"secretRef": {"name": "keys"}, "confirm": {"account": "main", "maxLoss": "300000"}}
    spec["risk"] |= {"maxPosition": "1", "staleAfter": "5s"}
    return manifest


BASES = {"backtest": example("backtest.yaml"), "sim": example("strategy.yaml"), "live": live()}


def changed(base: str, path: str, value: object) -> Object:
    """The manifest with the field at the dotted path set or taken away."""
    manifest = copy.deepcopy(BASES[base])
    at: Any = manifest if path.startswith("metadata") else manifest["spec"]
    *steps, last = path.split(".")
    for step in steps:
        at = at[int(step)] if step.isdigit() else at.setdefault(step, {})
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return manifest


def bands(*prices: str) -> list[Object]:
    return [{"from": price, "tick": "1"} for price in prices]


# manifest, field that is changed, its value, the field that is named, what is said to be right
CASES: list[tuple[str, str, object, str, str]] = [
    # the account
    ("backtest", "account.cash", "-5", "spec.account.cash", "should match"),
    ("backtest", "account.cash", "0", "spec.account.cash", "must be above 0"),
    ("backtest", "account.cash", "0.000", "spec.account.cash", "must be above 0"),
    ("backtest", "account.cash", "1e5", "spec.account.cash", "should match"),
    ("backtest", "account.cash", "10,000", "spec.account.cash", "should match"),
    ("backtest", "account.cash", "", "spec.account.cash", "should match"),
    ("backtest", "account.cash", 100000, "spec.account.cash", "must be of type string"),
    ("backtest", "account.cash", "900000000000000000", "spec.account.cash", "must be at most 1000"),
    ("backtest", "account.leverage", "3", "spec.account.leverage", 'set "type: margin"'),
    ("backtest", "account.leverage", "0.5", "spec.account.leverage", "must be at least 1"),
    ("backtest", "account.leverage", "126", "spec.account.leverage", "must be at most 125"),
    ("backtest", "account.type", "credit", "spec.account.type", '"margin"'),
    ("backtest", "account.precision", 13, "spec.account.precision", "less than or equal to 12"),
    ("backtest", "account.precision", -1, "spec.account.precision", "greater than or equal to 0"),
    ("backtest", "account.precision", 2.5, "spec.account.precision", "must be of type integer"),
    ("backtest", "account.precision", "2", "spec.account.precision", "must be of type integer"),
    ("backtest", "account.currency", "usd", "spec.account.currency", "should match"),
    ("backtest", "account.currency", "U", "spec.account.currency", "should match"),
    ("backtest", "account.maintenanceMargin", "1.5", "spec.account.maintenanceMargin", "must be at most 1"),
    ("backtest", "account.maintenanceMargin", "1", "spec.account.maintenanceMargin", "below 1 / leverage"),
    ("backtest", "account.liquidationFee", "0.5", "spec.account.liquidationFee", 'one percent is "0.01"'),
    ("backtest", "account.csh", "1", "spec.account.csh", "unknown field"),
    ("backtest", "account", "10000", "spec.account", "must be of type object"),
    ("sim", "account", GONE, "spec.account", "Required value"),
    ("sim", "account.venue", GONE, "spec.account.venue", "Required value"),
    ("sim", "account.venue", "kraken", "spec.account.venue", '"upbit", "bithumb", "binance"'),
    ("sim", "account.name", GONE, "spec.account.name", "Required value"),
    ("sim", "account.name", "Main", "spec.account.name", "should match"),
    ("sim", "account.name", "a" * 60, "spec.account.name", "52"),
    ("sim", "account.secretRef", {}, "spec.account.secretRef.name", "Required value"),
    ("sim", "account.secretRef", {"name": "My Keys"}, "spec.account.secretRef.name", "should match"),
    ("sim", "account.secretRef", "keys", "spec.account.secretRef", "must be of type object"),
    ("sim", "account.confirm", {"account": "main"}, "spec.account.confirm.maxLoss", "Required value"),
    ("sim", "account.apiKey", "abc", "spec.account.apiKey", "unknown field"),
    # real money
    ("live", "account.secretRef", GONE, "spec.account", "live needs the venue's API keys"),
    ("live", "account.confirm", GONE, "spec.account", "must repeat the account's name"),
    ("live", "account.confirm.account", "other", "spec.account", "must repeat the account's name"),
    ("live", "account.confirm.maxLoss", "1", "spec.account", "must repeat risk.maxDailyLoss"),
    ("live", "risk.maxPosition", GONE, "spec.risk.maxPosition", "live needs this limit"),
    ("live", "risk.maxNotional", GONE, "spec.risk.maxNotional", "live needs this limit"),
    ("live", "risk.maxDailyLoss", GONE, "spec.risk.maxDailyLoss", "live needs this limit"),
    ("live", "risk.staleAfter", GONE, "spec.risk.staleAfter", "live needs this limit"),
    # modes and policies
    ("sim", "mode", "paper", "spec.mode", '"live", "sim"'),
    ("sim", "mode", "LIVE", "spec.mode", '"live", "sim"'),
    ("sim", "deletionPolicy", "close", "spec.deletionPolicy", '"leave", "cancel", "flatten"'),
    ("sim", "swapPolicy", "restart", "spec.swapPolicy", '"drain", "adopt", "flatten"'),
    ("sim", "suspend", "yes", "spec.suspend", "must be of type boolean"),
    ("backtest", "suspend", 1, "spec.suspend", "must be of type boolean"),
    ("sim", "period", {"from": "2024-01-01"}, "spec.period", "unknown field"),
    ("sim", "data", {"path": "/data/x.csv"}, "spec.data", "unknown field"),
    ("backtest", "mode", "sim", "spec.mode", "unknown field"),
    ("backtest", "deletionPolicy", "leave", "spec.deletionPolicy", "unknown field"),
    # the strategy
    ("backtest", "strategy", GONE, "spec.strategy", "Required value"),
    ("backtest", "strategy", {"params": {}}, "spec.strategy.code", "sigma inline"),
    ("backtest", "strategy", {"file": "ema.py"}, "spec.strategy.file", "sigma inline"),
    ("sim", "strategy", {"file": "./ema.py"}, "spec.strategy.file", "sigma inline"),
    ("backtest", "strategy.file", "ema.py", "spec.strategy.code", "leave 'code' out"),
    ("backtest", "strategy.code", "", "spec.strategy.code", "at least 1 chars long"),
    ("backtest", "strategy.code", "x" * 200_001, "spec.strategy.code", "200000"),
    ("backtest", "strategy.class", "not a name", "spec.strategy.class", "should match"),
    ("backtest", "strategy.class", "", "spec.strategy.class", "should match"),
    ("backtest", "strategy.params", [1], "spec.strategy.params", "must be of type object"),
    (
        "backtest",
        "strategy.params",
        {f"p{i}": i for i in range(65)},
        "spec.strategy.params",
        "at most 64 items",
    ),
    ("backtest", "strategy.name", "x", "spec.strategy.name", "unknown field"),
    # the markets
    ("backtest", "markets", [], "spec.markets", "at least 1 items"),
    ("backtest", "markets", GONE, "spec.markets", "Required"),
    ("backtest", "markets", [{"symbol": "A"}, {"symbol": "A"}], "spec.markets[1]", "Duplicate"),
    ("backtest", "markets", [{"symbol": f"A{i}"} for i in range(17)], "spec.markets", "at most 16 items"),
    ("backtest", "markets", [{"tickSize": "1"}], "spec.markets[0].symbol", "Required"),
    ("backtest", "markets.0.symbol", "BTC USDT", "spec.markets[0].symbol", "should match"),
    ("backtest", "markets.0.symbol", 5930, "spec.markets[0].symbol", "must be of type string"),
    ("backtest", "markets.0.rules", "kraken", "spec.markets[0].rules", '"upbit", "bithumb", "binance"'),
    ("backtest", "markets.0.tickSize", "0", "spec.markets[0].tickSize", "must be above 0"),
    ("backtest", "markets.0.tickSize", 0.01, "spec.markets[0].tickSize", "must be of type string"),
    ("backtest", "markets.0.lotSize", "0.0", "spec.markets[0].lotSize", "must be above 0"),
    ("backtest", "markets.0.lotSize", "-1", "spec.markets[0].lotSize", "should match"),
    ("backtest", "markets.0.minQuantity", "-1", "spec.markets[0].minQuantity", "should match"),
    ("backtest", "markets.0.minNotional", "five", "spec.markets[0].minNotional", "should match"),
    ("backtest", "markets.0.priceBands", bands("0"), "spec.markets[0].priceBands", "one price grid"),
    (
        "sim",
        "markets.0.priceBands",
        bands(*map(str, range(25))),
        "spec.markets[0].priceBands",
        "at most 24 items",
    ),
    ("sim", "markets.0.priceBands", [{"from": "0"}], "spec.markets[0].priceBands[0].tick", "Required"),
    (
        "sim",
        "markets.0.priceBands",
        [{"from": "0", "tick": "0"}],
        "spec.markets[0].priceBands[0].tick",
        "must be above 0",
    ),
    (
        "sim",
        "markets.0.priceBands",
        bands("5"),
        "spec.markets[0].priceBands",
        'the first band must start at "0"',
    ),
    ("sim", "markets.0.priceBands", bands("0", "9", "9"), "spec.markets[0].priceBands", "bands must rise"),
    ("sim", "markets.0.rules", "binance", "spec.markets[0].rules", "tickSize is missing"),
    ("backtest", "markets.0.fees.taker", "0.2", "spec.markets[0].fees.taker", "at most 0.1"),
    ("backtest", "markets.0.fees.taker", "-0.1", "spec.markets[0].fees.taker", "should match"),
    ("backtest", "markets.0.fees.maker", "-0.2", "spec.markets[0].fees.maker", "must be at least -0.1"),
    ("backtest", "markets.0.fees.minimum", "-1", "spec.markets[0].fees.minimum", "should match"),
    ("backtest", "markets.0.data", "bars.csv", "spec.markets[0].data", "absolute path"),
    # the data and the period
    ("backtest", "data", GONE, "spec.data", "Required"),
    ("backtest", "data", {"source": "file", "path": "bars.csv"}, "spec.data.path", "absolute path"),
    ("backtest", "data", {"source": "file"}, "spec.data.path", "name a CSV or Parquet file"),
    ("backtest", "data.source", "web", "spec.data.source", '"file", "catalogue", "sample", "synthetic"'),
    ("backtest", "data.kind", "candles", "spec.data.kind", '"bars"'),
    ("backtest", "data.stamps", "end", "spec.data.stamps", '"auto", "open", "close"'),
    ("backtest", "data.timeframe", "8d", "spec.data.timeframe", "from 100ms to 7d"),
    ("backtest", "data.timeframe", "1 day", "spec.data.timeframe", "should match"),
    ("backtest", "data.funding", "rates.csv", "spec.data.funding", "absolute path"),
    ("backtest", "data.columns", {"close": 4}, "spec.data.columns.close", "must be of type string"),
    ("backtest", "period", {"from": "2024-02-01", "to": "2024-01-01"}, "spec.period.from", "before 'to'"),
    ("backtest", "period", {"from": "yesterday"}, "spec.period.from", "should match"),
    ("backtest", "period", {"to": "01.02.2024"}, "spec.period.to", "should match"),
    ("backtest", "period", {"from": "2024-01-01T00:00:00"}, "spec.period.from", "should match"),
    ("backtest", "timeframes", ["1m", "1m"], "spec.timeframes[1]", "Duplicate"),
    ("backtest", "timeframes", ["1y"], "spec.timeframes[0]", "should match"),
    ("backtest", "timeframes", ["8d"], "spec.timeframes[0]", "from 100ms to 7d"),
    ("backtest", "timeframes", [f"{n}m" for n in range(1, 10)], "spec.timeframes", "at most 8 items"),
    ("backtest", "warmup", "5 days", "spec.warmup", "should match"),
    ("backtest", "warmup", "4000d", "spec.warmup", "from 0s to 3650d"),
    # how orders fill
    ("backtest", "execution.latency", "2h", "spec.execution.latency", "from 0s to 1h"),
    ("backtest", "execution.latency", 50, "spec.execution.latency", "must be of type string"),
    ("backtest", "execution.spread", "0.2", "spec.execution.spread", "at most 0.1"),
    ("backtest", "execution.slippage", "1%", "spec.execution.slippage", "should match"),
    (
        "backtest",
        "execution.slippageTicks",
        1001,
        "spec.execution.slippageTicks",
        "less than or equal to 1000",
    ),
    ("backtest", "execution.volumeLimit", "1.5", "spec.execution.volumeLimit", "must be at most 1"),
    ("backtest", "execution.fillAt", "now", "spec.execution.fillAt", '"next-open"'),
    ("backtest", "execution.queue", "on", "spec.execution.queue", "must be of type boolean"),
    ("backtest", "execution.speed", "1", "spec.execution.speed", "unknown field"),
    # limits
    ("backtest", "risk.maxPosition", "0", "spec.risk.maxPosition", "must be above 0"),
    ("backtest", "risk.maxNotional", "-1", "spec.risk.maxNotional", "should match"),
    ("backtest", "risk.maxOpenOrders", 0, "spec.risk.maxOpenOrders", "greater than or equal to 1"),
    ("backtest", "risk.maxOpenOrders", 129, "spec.risk.maxOpenOrders", "less than or equal to 128"),
    ("backtest", "risk.maxOrdersPerMinute", 0, "spec.risk.maxOrdersPerMinute", "greater than or equal to 1"),
    ("backtest", "risk.maxDailyLoss", "0", "spec.risk.maxDailyLoss", "must be above 0"),
    ("backtest", "risk.maxDrawdown", "20", "spec.risk.maxDrawdown", 'one percent is "0.01"'),
    ("backtest", "risk.priceCollar", "2", "spec.risk.priceCollar", 'one percent is "0.01"'),
    ("backtest", "risk.staleAfter", "31d", "spec.risk.staleAfter", "from 100ms to 30d"),
    ("backtest", "risk.dayStart", "9", "spec.risk.dayStart", "should match"),
    ("backtest", "risk.dayStart", "+15:00", "spec.risk.dayStart", "should match"),
    # the report
    ("backtest", "report.annualisation", 400, "spec.report.annualisation", "less than or equal to 366"),
    ("backtest", "report.riskFreeRate", "2", "spec.report.riskFreeRate", "must be at most 1"),
    ("backtest", "report.riskFreeRate", "-0.5", "spec.report.riskFreeRate", "must be at least -0.1"),
    # the pod
    ("backtest", "job.deadline", "8d", "spec.job.deadline", "from 1s to 7d"),
    ("backtest", "job.retries", 11, "spec.job.retries", "less than or equal to 10"),
    ("backtest", "job.ttl", "2y", "spec.job.ttl", "should match"),
    ("backtest", "job.cpu", "two", "spec.job.cpu", "should match"),
    ("backtest", "job.memory", "4", "spec.job.memory", "should match"),
    ("backtest", "job.image", "My Image", "spec.job.image", "should match"),
    (
        "backtest",
        "job",
        {"dataClaim": "a", "dataConfigMap": "b"},
        "spec.job.dataConfigMap",
        "leave 'dataClaim' out",
    ),
    ("sim", "bot.memory", "128", "spec.bot.memory", "should match"),
    ("sim", "bot.replicas", 2, "spec.bot.replicas", "unknown field"),
    # a sweep
    ("backtest", "sweep", {}, "spec.sweep.parameters", "Required"),
    (
        "backtest",
        "sweep",
        {"parameters": {"fast": 5}},
        "spec.sweep.parameters.fast",
        "must be of type string",
    ),
    ("backtest", "sweep", {"parameters": {"fast": "5;6"}}, "spec.sweep.parameters.fast", "should match"),
    ("backtest", "sweep", SWEEP | {"shards": 0}, "spec.sweep.shards", "greater than or equal to 1"),
    ("backtest", "sweep", SWEEP | {"shards": 65}, "spec.sweep.shards", "less than or equal to 64"),
    ("backtest", "sweep", SWEEP | {"sampler": "tpe"}, "spec.sweep.sampler", '"grid", "random"'),
    ("backtest", "sweep", SWEEP | {"trials": 0}, "spec.sweep.trials", "greater than or equal to 1"),
    ("backtest", "sweep", SWEEP | {"objective": "Sharpe ratio"}, "spec.sweep.objective", "should match"),
    # the object
    ("backtest", "metadata.name", "Ema_Cross", "metadata.name", "lower case"),
    ("backtest", "metadata.name", "x" * 53, "metadata.name", "52"),
]


@pytest.fixture(scope="module")
def defined(cluster: Client) -> Client:
    """A cluster with the resource definitions."""
    # as helm, or the chart could no longer change them
    manager = ("--field-manager=helm", "--force-conflicts")
    cluster.kubectl("apply", "--server-side", *manager, "-f", ROOT / "crds")
    cluster.kubectl("wait", "--for=condition=Established", "-f", ROOT / "crds", "--timeout=120s")
    return cluster


def test_there_are_a_hundred() -> None:
    assert len(CASES) >= 100


@pytest.mark.parametrize(
    ("base", "path", "value", "field", "right"), CASES, ids=[f"{c[0]}:{c[1]}={str(c[2])[:24]}" for c in CASES]
)
def test_the_api_server_refuses_and_names_the_field(
    defined: Client, base: str, path: str, value: object, field: str, right: str
) -> None:
    with pytest.raises(ApiError) as refusal:
        dry_run(defined, changed(base, path, value))
    assert field in refusal.value.message
    assert right in refusal.value.message


@pytest.mark.parametrize("base", BASES)
def test_the_untouched_manifests_are_taken(defined: Client, base: str) -> None:
    """The refusals above are the work of the one field that each changes."""
    dry_run(defined, BASES[base])


def dry_run(cluster: Client, manifest: Object) -> None:
    cluster.api.create(manifest, "default", dry_run=True)
