"""The CustomResourceDefinitions of Backtest and Strategy, from the spec types."""

from __future__ import annotations

import yaml

from sigma_bot.spec import manifest
from sigma_operator.crds.cel import Schema
from sigma_operator.crds.status import BacktestStatus, StrategyStatus
from sigma_operator.crds.structural import structural_schema
from sigma_operator.settings import GROUP, VERSION

MAX_NAME = 52  # characters; leaves room for the suffixes of a Job's pods in 63


def column(name: str, path: str, kind: str = "string", priority: int = 0, text: str = "") -> Schema:
    out: Schema = {"name": name, "type": kind, "jsonPath": path}
    return {**out, **({"priority": priority} if priority else {}), **({"description": text} if text else {})}


def condition_path(kind: str, field: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


AGE = column("Age", ".metadata.creationTimestamp", "date")
BACKTEST_COLUMNS = [
    column("Phase", ".status.phase"),
    column("Done", ".status.progress.percent", "integer", text="Per cent, while it runs"),
    column("Return", ".status.result.metrics.total_return", text="Total return as a fraction"),
    column("Sharpe", ".status.result.metrics.sharpe"),
    column("Drawdown", ".status.result.metrics.max_drawdown", text="Deepest fall from a peak, as a fraction"),
    column("Reason", condition_path("Failed", "reason"), priority=1),
    column("Engine", ".status.result.engine", priority=1),
    column("Digest", ".status.result.digest", priority=1),
    AGE,
]
STRATEGY_COLUMNS = [
    column("Mode", ".spec.mode"),
    column("Phase", ".status.phase"),
    column("Ready", condition_path("Ready")),
    column("Revision", ".status.revision", text="Content that runs: manifest and code"),
    column("Account", ".spec.account.name", priority=1),
    column("Reason", condition_path("Ready", "reason"), priority=1),
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
                "properties": {"name": {"type": "string", "maxLength": MAX_NAME}},
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
        structural_schema(manifest.BacktestSpec),
        structural_schema(BacktestStatus),
        BACKTEST_COLUMNS,
    )
    strategy = definition(
        "Strategy",
        "strat",
        "Run a strategy on real-time prices.",
        structural_schema(manifest.StrategySpec),
        structural_schema(StrategyStatus),
        STRATEGY_COLUMNS,
    )
    return {f"{document['metadata']['name']}.yaml": document for document in (backtest, strategy)}


def to_yaml(document: Schema) -> str:
    """The file of a definition."""
    head = "# Written by `make crds` from bot/sigma_bot/spec: change the types, not this file.\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)
