"""What a ``Strategy`` and a ``Backtest`` are: CRDs, API models and configuration all come from here."""

from __future__ import annotations

from sigma_bot.spec.blocks import (
    Account,
    Data,
    Execution,
    Fees,
    Market,
    Period,
    PriceBand,
    Report,
    Risk,
    StrategyRef,
)
from sigma_bot.spec.load import (
    dump_manifest,
    load_manifest,
    parse_manifest,
    with_overrides,
)
from sigma_bot.spec.manifest import (
    API_VERSION,
    Backtest,
    BacktestSpec,
    CommonSpec,
    Metadata,
    Strategy,
    StrategySpec,
    VenueAccount,
)
from sigma_bot.spec.rules import FeeRules, MarketRules, market_rules
from sigma_bot.spec.units import Duration, Instant, UtcOffset, parse_duration

__all__ = [
    "API_VERSION",
    "Account",
    "Backtest",
    "BacktestSpec",
    "CommonSpec",
    "Data",
    "Duration",
    "Execution",
    "FeeRules",
    "Fees",
    "Instant",
    "Market",
    "MarketRules",
    "Metadata",
    "Period",
    "PriceBand",
    "Report",
    "Risk",
    "Strategy",
    "StrategyRef",
    "StrategySpec",
    "UtcOffset",
    "VenueAccount",
    "dump_manifest",
    "load_manifest",
    "market_rules",
    "parse_duration",
    "parse_manifest",
    "with_overrides",
]
