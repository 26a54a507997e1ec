"""The CustomResourceDefinitions, from the spec types.

A structural schema knows less than the types (no references, no nullable unions), so the JSON schema that
pydantic gives is narrowed, and what is left over (bounds of decimal texts and durations, rules across
fields) becomes CEL. What the API server lets through all the same, the operator finds with the types
themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sigma_bot.spec import blocks, manifest, pods
from sigma_bot.spec.units import UNITS, Between, DecimalText, parse_duration
from sigma_operator.crds.status import BacktestStatus, StrategyStatus

Schema = dict[str, Any]

GROUP, VERSION = "sigma-x.io", "v1alpha1"
LONGEST_TEXT = 1000  # for texts whose pattern has no end; CEL's cost limit wants every text bounded
NAME_LENGTH = 52  # leaves room for the suffixes of a Job's pods in 63 characters
_REPEAT = re.compile(r"\^\((?:\(\?s\))?(?:\.|\[\^\\x00\])\{(\d+),(\d+)\}\)\$")


@dataclass(frozen=True)
class Rule:
    """A CEL rule of a block, the sentence that says what is right, and the field it is about."""

    rule: str
    message: str
    field: str = ""

    def schema(self) -> Schema:
        out = {
            "rule": self.rule,
            "message": self.message,
            "fieldPath": self.field,
            "reason": "FieldValueInvalid",
        }
        return {key: value for key, value in out.items() if value}


def _absolute(field: str, condition: str = "true") -> Rule:
    rule = f"!({condition}) || !has(self.{field}) || self.{field}.startsWith('/')"
    text = f"{field} must be an absolute path in the pod, below /data: the cluster does not see your folders"
    return Rule(rule, text, f".{field}")


def _instant(text: str) -> str:
    """CEL for the instant that a date or a time stands for."""
    return f"timestamp(size({text}) == 10 ? {text} + 'T00:00:00Z' : {text})"


def _live(rule: str) -> str:
    return f"self.mode != 'live' || {rule}"


def _fixed(model: type[BaseModel], *free: str) -> Iterator[Rule]:
    """Every field but these stays as it was, whether it was given or not."""
    for name, field in model.model_fields.items():
        if name in free:
            continue
        part = field.alias or name
        same = f"(!has(self.{part}) || self.{part} == oldSelf.{part})"
        said = f"spec can't be changed ({part}): a result belongs to it; delete the Backtest or make another"
        yield Rule(f"has(self.{part}) == has(oldSelf.{part}) && {same}", said, f".{part}")


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
        *_fixed(manifest.BacktestSpec, "suspend"),
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


# --- bounds -------------------------------------------------------------------------------------------------


def marks(annotation: object) -> Iterator[object]:
    """What stands inside `Annotated[...]` of a type, through unions; not inside its items."""
    yield from getattr(annotation, "__metadata__", ())
    if getattr(annotation, "__origin__", None) not in (tuple, dict, list):
        for part in get_args(annotation):
            yield from marks(part)


def item_marks(annotation: object) -> Iterator[object]:
    """What stands inside `Annotated[...]` of the items of a tuple."""
    if getattr(annotation, "__origin__", None) is tuple:
        yield from marks(get_args(annotation)[0])
    else:
        for part in get_args(annotation):
            yield from item_marks(part)


def _decimal_rules(bound: DecimalText) -> Iterator[Rule]:
    if bound.gt is not None:
        yield Rule(f"double(self) > {float(bound.gt)}", f"must be above {bound.gt}")
    elif bound.ge is not None and bound.ge != "0":
        yield Rule(f"double(self) >= {float(bound.ge)}", f"must be at least {bound.ge}")
    if bound.le is not None:
        hint = ' (a fraction: one percent is "0.01")' if bound.le in ("1", "0.1") else ""
        yield Rule(f"double(self) <= {float(bound.le)}", f"must be at most {bound.le}{hint}")


def _duration_rule(bound: Between) -> Rule:
    units = ", ".join(f"'{name}': {float(ns)}" for name, ns in UNITS.items())
    length = f"double(self.find('^[0-9]+')) * {{{units}}}[self.find('[a-z]+$')]"
    low, high = float(parse_duration(bound.ge)), float(parse_duration(bound.le))
    return Rule(f"{length} >= {low} && {length} <= {high}", f"must be from {bound.ge} to {bound.le}")


def bounds(found: Iterable[object]) -> list[Schema]:
    """CEL for the bounds among these marks, which a JSON schema does not carry."""
    rules: list[Rule] = []
    for mark in found:
        if isinstance(mark, DecimalText):
            rules += _decimal_rules(mark)
        elif isinstance(mark, Between):
            rules.append(_duration_rule(mark))
    return [rule.schema() for rule in rules]


# --- narrowing ----------------------------------------------------------------------------------------------


def longest(pattern: str) -> int | None:
    """Most characters that a text of this pattern has, or None where it has no end."""
    width = int(re._parser.parse(pattern).getwidth()[1])  # type: ignore[attr-defined]
    return width if width <= LONGEST_TEXT else None


def text_schema(schema: Schema) -> Schema:
    """A text with a bound on its length. Go's regular expressions repeat at most 1,000 times: longer is a
    length."""
    out = pick(schema, "type", "pattern", "enum", "maxLength")
    if "enum" in out:
        return out
    pattern = out.get("pattern")
    if pattern is not None and (repeat := _REPEAT.fullmatch(pattern)):
        del out["pattern"]
        return {**out, "minLength": int(repeat[1]), "maxLength": int(repeat[2])}
    limit = longest(pattern) if pattern is not None else None
    return {"maxLength": limit or LONGEST_TEXT, **out}


class Narrower:
    """Turns one model's JSON schema into a structural schema."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.root = model
        full = model.model_json_schema(by_alias=True, mode="validation")
        self.definitions: Mapping[str, Schema] = full.pop("$defs", {})
        self.full = full
        self.models = {found.__name__: found for found in _models(model)}

    def schema(self) -> Schema:
        return self.object(self.full, self.root)

    def object(self, schema: Schema, model: type[BaseModel]) -> Schema:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        fields |= {str(f.validation_alias): f for f in model.model_fields.values() if f.validation_alias}
        out: Schema = {"type": "object", "description": tidy(schema.get("description", ""))}
        out["properties"] = {
            name: self.field(name, child, fields[name], model) for name, child in schema["properties"].items()
        }
        if required := schema.get("required"):
            out["required"] = required
        if rules := RULES.get(model):
            out["x-kubernetes-validations"] = [rule.schema() for rule in rules]
        return out

    def field(self, name: str, schema: Schema, field: FieldInfo, model: type[BaseModel]) -> Schema:
        out = {**self.any(schema), **LIST_KEYS.get((model, name), {})}
        out["description"] = tidy(schema.get("description") or out.get("description", ""))
        default = schema.get("default")
        if default is not None:
            out["default"] = without_nulls(default)
        if rules := bounds((*field.metadata, *marks(field.annotation))):
            out["x-kubernetes-validations"] = rules
        if "items" in out and (rules := bounds(item_marks(field.annotation))):
            out["items"]["x-kubernetes-validations"] = rules
        return out

    def any(self, schema: Schema) -> Schema:
        """A value of whatever kind, without description and default."""
        if "anyOf" in schema:  # in our types always something or null; absent says null in Kubernetes
            schema = next(choice for choice in schema["anyOf"] if choice.get("type") != "null")
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self.object(self.definitions[name], self.models[name])
        kind = schema.get("type")
        if kind == "string":
            return text_schema(schema)
        if kind == "integer":
            return pick(schema, "type", "minimum", "maximum") | {"format": "int64"}
        if kind == "array":
            return {"items": self.any(schema["items"]), **pick(schema, "type", "minItems", "maxItems")}
        if kind == "object":
            return self.mapping(schema)
        return pick(schema, "type", "x-kubernetes-preserve-unknown-fields")

    def mapping(self, schema: Schema) -> Schema:
        """A mapping with free names. Their form is left to the operator: there are no patternProperties."""
        patterns = schema.get("patternProperties")
        out: Schema = {"type": "object"}
        if not patterns:
            return {**out, "additionalProperties": self.any(schema["additionalProperties"])}
        value = next(iter(patterns.values()))
        out["additionalProperties"] = self.any(value)
        return {**out, "maxProperties": schema["maxProperties"]}


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The model and every model inside its fields."""
    yield model
    pending: list[object] = [field.annotation for field in model.model_fields.values()]
    while pending:
        part = pending.pop()
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield from _models(part)
        pending += get_args(part)


def without_nulls(value: Any) -> Any:
    """A default without the fields that are left out: null is no value in a structural schema."""
    if isinstance(value, dict):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    return value


def pick(schema: Schema, *names: str) -> Schema:
    """These entries of a schema, as far as it has them."""
    return {name: schema[name] for name in names if name in schema}


def tidy(text: str) -> str:
    """A docstring as one paragraph, without the marks of its markup."""
    return " ".join(text.replace("``", "'").split())


# --- resources ----------------------------------------------------------------------------------------------


def column(name: str, path: str, kind: str = "string", priority: int = 0, text: str = "") -> Schema:
    out: Schema = {"name": name, "type": kind, "jsonPath": path}
    return {**out, **({"priority": priority} if priority else {}), **({"description": text} if text else {})}


def condition(kind: str, field: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


AGE = column("Age", ".metadata.creationTimestamp", "date")
BACKTEST_COLUMNS = [
    column("Phase", ".status.phase"),
    column("Done", ".status.progress.percent", "integer", text="Per cent, while it runs"),
    column("Return", ".status.result.metrics.total_return", text="Total return as a fraction"),
    column("Sharpe", ".status.result.metrics.sharpe"),
    column("Drawdown", ".status.result.metrics.max_drawdown", text="Deepest fall from a peak, as a fraction"),
    column("Reason", condition("Failed", "reason"), priority=1),
    column("Engine", ".status.result.engine", priority=1),
    column("Digest", ".status.result.digest", priority=1),
    AGE,
]
STRATEGY_COLUMNS = [
    column("Mode", ".spec.mode"),
    column("Phase", ".status.phase"),
    column("Ready", condition("Ready")),
    column("Revision", ".status.revision", text="Content that runs: manifest and code"),
    column("Account", ".spec.account.name", priority=1),
    column("Reason", condition("Ready", "reason"), priority=1),
    column("Image", ".status.image", priority=1),
    column("Since", ".status.since", "date", priority=1, text="When the phase was entered"),
    AGE,
]


def definition(
    kind: str, short: str, about: str, spec: Schema, status: Schema, columns: list[Schema]
) -> Schema:
    plural = "backtests" if kind == "Backtest" else "strategies"
    schema: Schema = {
        "type": "object",
        "description": about,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": NAME_LENGTH}},
            },
            "spec": spec,
            "status": status,
        },
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": schema},
    }
    names = {
        "kind": kind,
        "plural": plural,
        "singular": kind.lower(),
        "shortNames": [short],
        "categories": ["sigma"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def definitions() -> dict[str, Schema]:
    """File name and content of each definition."""
    backtest = definition(
        "Backtest",
        "bt",
        "Run a strategy on historical data.",
        Narrower(manifest.BacktestSpec).schema(),
        Narrower(BacktestStatus).schema(),
        BACKTEST_COLUMNS,
    )
    strategy = definition(
        "Strategy",
        "strat",
        "Run a strategy on real-time prices.",
        Narrower(manifest.StrategySpec).schema(),
        Narrower(StrategyStatus).schema(),
        STRATEGY_COLUMNS,
    )
    return {f"{document['metadata']['name']}.yaml": document for document in (backtest, strategy)}


def text(document: Schema) -> str:
    head = "# Written by `make crds` from bot/sigma_bot/spec: change the types, not this file.\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)
