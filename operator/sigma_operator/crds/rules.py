"""What a JSON schema can't say: CEL rules across the fields of a block, and lists with keyed entries."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from sigma_bot.spec import blocks, manifest, pods
from sigma_operator.crds.cel import Rule, Schema
from sigma_operator.crds.status import BacktestStatus, StrategyStatus


def _absolute(field: str, condition: str = "true") -> Rule:
    rule = f"!({condition}) || !has(self.{field}) || self.{field}.startsWith('/')"
    text = f"{field} must be an absolute path in the pod, below /data: the cluster does not see your folders"
    return Rule(rule, text, f".{field}")


def _instant(text: str) -> str:
    """CEL for the instant that a date or a time stands for."""
    return f"timestamp(size({text}) == 10 ? {text} + 'T00:00:00Z' : {text})"


def _live(rule: str) -> str:
    return f"self.mode != 'live' || {rule}"


def _immutable(model: type[BaseModel], *mutable: str) -> Iterator[Rule]:
    """Every field but the mutable ones stays as it was, whether it was given or not."""
    for name, field in model.model_fields.items():
        if name in mutable:
            continue
        part = field.alias or name
        same = f"(!has(self.{part}) || self.{part} == oldSelf.{part})"
        message = (
            f"spec can't be changed ({part}): a result belongs to it; delete the Backtest or make another"
        )
        yield Rule(f"has(self.{part}) == has(oldSelf.{part}) && {same}", message, f".{part}")


_NO_SOURCE = (
    "strategy needs its source: 'sigma inline FILE | kubectl apply -f -' puts it into 'code'"
    " (or give an absolute path in the image in 'file')"
)
RULES: dict[type[BaseModel], tuple[Rule, ...]] = {
    blocks.StrategyRef: (
        Rule("has(self.file) || has(self.code)", _NO_SOURCE, ".code"),
        Rule(
            "!has(self.file) || !has(self.code)",
            "leave 'code' out or leave 'file' out: the strategy comes from one",
            ".code",
        ),
        Rule(
            "!has(self.file) || self.file.startsWith('/')",
            "file must be an absolute path in the image, for the cluster does not see your folders;"
            " 'sigma inline FILE | kubectl apply -f -' puts the source into 'code'",
            ".file",
        ),
    ),
    blocks.Market: (
        Rule(
            "!has(self.tickSize) || size(self.priceBands) == 0",
            "leave 'priceBands' out or leave 'tickSize' out: a market has one price grid",
            ".priceBands",
        ),
        Rule(
            "size(self.priceBands) == 0 || double(self.priceBands[0].from) == 0.0",
            'the first band must start at "0"',
            ".priceBands",
        ),
        Rule(
            "self.priceBands.map(b, double(b.from)).isSorted()"
            " && self.priceBands.all(b, self.priceBands.exists_one(c, double(b.from) == double(c.from)))",
            "bands must rise: each must start above the one before it",
            ".priceBands",
        ),
        Rule(
            "!has(self.rules) || self.rules != 'binance'"
            " || ((has(self.tickSize) || size(self.priceBands) > 0) && has(self.lotSize))",
            "tickSize is missing, or lotSize: on Binance they differ by symbol"
            " (PRICE_FILTER and LOT_SIZE of exchangeInfo)",
            ".rules",
        ),
        _absolute("data"),
    ),
    blocks.Data: (_absolute("path", "self.source == 'file'"), _absolute("funding")),
    blocks.Period: (
        Rule(
            f"!has(self.from) || !has(self.to) || {_instant('self.from')} < {_instant('self.to')}"
            " || (size(self.to) == 10 && self.from == self.to)",
            "from must be before 'to'",
            ".from",
        ),
    ),
    blocks.Account: (
        Rule(
            "self.type == 'margin' || double(self.leverage) <= 1.0",
            'leverage must be "1" on a cash account; set "type: margin" to borrow',
            ".leverage",
        ),
        Rule(
            "double(self.maintenanceMargin) * double(self.leverage) < 1.0",
            "maintenanceMargin must be below 1 / leverage",
            ".maintenanceMargin",
        ),
    ),
    pods.JobOptions: (
        Rule(
            "!has(self.dataClaim) || !has(self.dataConfigMap)",
            "leave 'dataConfigMap' out or leave 'dataClaim' out: one of them lies at /data",
            ".dataConfigMap",
        ),
    ),
    manifest.BacktestSpec: (
        *_immutable(manifest.BacktestSpec, "suspend"),
        Rule(
            "self.data.source != 'file' || has(self.data.path) || self.markets.all(m, has(m.data))",
            "data.path is missing: name a CSV or Parquet file, like /data/bars.parquet",
            ".data.path",
        ),
    ),
    manifest.StrategySpec: (
        Rule(
            _live("has(self.account.secretRef)"),
            "account.secretRef is missing: live needs the venue's API keys",
            ".account",
        ),
        *(
            Rule(
                _live(f"has(self.risk.{name})"),
                f"risk.{name} is missing: live needs this limit",
                f".risk.{name}",
            )
            for name in ("maxPosition", "maxNotional", "maxDailyLoss", "staleAfter")
        ),
        Rule(
            _live("(has(self.account.confirm) && self.account.confirm.account == self.account.name)"),
            "account.confirm.account must repeat the account's name: live trades real money",
            ".account",
        ),
        Rule(
            _live(
                "(has(self.account.confirm) && has(self.risk.maxDailyLoss)"
                " && self.account.confirm.maxLoss == self.risk.maxDailyLoss)"
            ),
            "account.confirm.maxLoss must repeat risk.maxDailyLoss: live trades real money",
            ".account",
        ),
    ),
}
RULES[manifest.VenueAccount] = RULES[blocks.Account]
# Lists in which an entry has a name of its own.
LIST_KEYS: dict[tuple[type[BaseModel], str], Schema] = {
    (manifest.BacktestSpec, "markets"): {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["symbol"],
    },
    (manifest.StrategySpec, "markets"): {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["symbol"],
    },
    (manifest.BacktestSpec, "timeframes"): {"x-kubernetes-list-type": "set"},
    (manifest.StrategySpec, "timeframes"): {"x-kubernetes-list-type": "set"},
    (BacktestStatus, "conditions"): {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    (StrategyStatus, "conditions"): {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
}
