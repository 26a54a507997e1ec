"""What the chart tells the operator, by environment variables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GROUP, VERSION = "sigma-x.io", "v1alpha1"
MANAGER = "sigma-x-operator"  # field manager of everything we write
BACKTEST_LABEL = f"{GROUP}/backtest"


@dataclass(frozen=True)
class BacktestSettings:
    """How the pods of backtests are run."""

    image: str = "docker.io/sigma-x/backtest:0.1.0"
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    priority_class: str = ""
    resources: Mapping[str, Any] = field(
        default_factory=lambda: {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "4Gi"}}
    )
    scratch: str = "2Gi"
    """Size limit of the writable folder, the cache of compiled strategies in it."""
    deadline: int = 3600
    """Seconds after which a run is given up."""
    retries: int = 3
    """How often a run is repeated that its machine broke off; a strategy that failed is never repeated."""
    keep: int = 86_400
    """Seconds for which a finished Job and its log stay."""
    data_claim: str = ""
    """PersistentVolumeClaim with market data, mounted read-only at /data in the Backtest's namespace."""


@dataclass(frozen=True)
class Settings:
    """The whole configuration."""

    namespaces: tuple[str, ...] = ()
    """Namespaces that are watched; none means all."""
    backtest: BacktestSettings = BacktestSettings()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """SIGMA_NAMESPACES, comma-separated, and SIGMA_BACKTEST, a JSON object with the fields above."""
        namespaces = tuple(filter(None, environment.get("SIGMA_NAMESPACES", "").split(",")))
        given: dict[str, Any] = json.loads(environment.get("SIGMA_BACKTEST", "{}"))
        if "pull_secrets" in given:
            given["pull_secrets"] = tuple(given["pull_secrets"])
        return cls(namespaces, BacktestSettings(**given))
