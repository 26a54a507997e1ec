"""The operator's configuration, which the chart sets by environment variables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sigma_bot.version import VERSION as RELEASE

GROUP, VERSION = "sigma-x.io", "v1alpha1"
MANAGER = "sigma-x-operator"  # field manager of everything we write
BACKTEST_LABEL = f"{GROUP}/backtest"
STRATEGY_LABEL = f"{GROUP}/strategy"
REVISION_LABEL = f"{GROUP}/revision"


@dataclass(frozen=True)
class BacktestSettings:
    """How the pods of backtests are run."""

    image: str = f"docker.io/sigma-x/backtest:{RELEASE}"
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    priority_class: str = ""
    resources: Mapping[str, Any] = field(
        default_factory=lambda: {
            "requests": {"cpu": "100m", "memory": "512Mi"},
            "limits": {"cpu": "3", "memory": "4Gi"},
        }
    )
    scratch: str = "2Gi"
    """Size limit of the writable folder, the cache of compiled strategies in it."""
    deadline: int = 3600
    """Seconds after which a run is ended."""
    retries: int = 3
    """How often a run is repeated that its machine broke off; a strategy that failed is never repeated."""
    keep: int = 86_400
    """Seconds for which a finished Job and its log stay."""
    data_claim: str = ""
    """PersistentVolumeClaim with market data, mounted read-only at /data in the Backtest's namespace."""
    results: str = ""
    """Secret in the Backtest's namespace with the entry database-url, where results are kept. Where it is
    not there, only the status keeps them. Sweeps need it."""


# Networks that no bot may reach: the cluster's own, the cloud's, and that of its metadata service.
PRIVATE_NETWORKS = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")


def _default_egress() -> tuple[Mapping[str, Any], ...]:
    system = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    anywhere: dict[str, Any] = {"namespaceSelector": {}}
    abroad = {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(PRIVATE_NETWORKS)}}
    return (
        {"to": [system], "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
        {"to": [anywhere], "ports": [{"protocol": "TCP", "port": port} for port in (6379, 5432)]},
        {"to": [abroad], "ports": [{"protocol": "TCP", "port": 443}]},
    )


def _default_ingress() -> tuple[Mapping[str, Any], ...]:
    operator = {"matchLabels": {"app.kubernetes.io/component": "operator"}}
    return ({"namespaceSelector": {}, "podSelector": operator},)


@dataclass(frozen=True)
class BotSettings:
    """How the pods of strategies are run."""

    image: str = f"docker.io/sigma-x/sigma:{RELEASE}"
    live_image: str = f"docker.io/sigma-x/sigma-live:{RELEASE}"
    """Image in LIVE, where the exchange's client is needed."""
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    priority_class: str = ""
    live_priority_class: str = ""
    """LIVE has the higher priority where memory is short."""
    resources: Mapping[str, Any] = field(
        default_factory=lambda: {"requests": {"cpu": "20m", "memory": "80Mi"}, "limits": {"memory": "128Mi"}}
    )
    live_resources: Mapping[str, Any] = field(
        default_factory=lambda: {
            "requests": {"cpu": "100m", "memory": "192Mi"},
            "limits": {"memory": "192Mi"},
        }
    )
    connections: str = "sigma-x-connections"
    """Secret in the Strategy's namespace with the entry redis-url; without a granter, database-url too."""
    granter: str = ""
    """Secret in the Strategy's namespace with the entry database-url, of the login that creates the logins of
    accounts. Empty: all bots share one."""
    reserved: tuple[str, ...] = ()
    """Secrets of the installation, which no Strategy may name as its API keys."""
    venue_url: str = ""
    """Address of an emulator in place of the venue; empty: the venue itself."""
    grace: int = 30
    """Termination grace period of a bot, in seconds."""
    progress_deadline: int = 120
    """Seconds in which a new revision must become ready, else it is rolled back."""
    close_deadline: int = 120
    """Seconds that closing orders and positions may take when a Strategy is deleted."""
    network_policy: bool = True
    """Let bots reach Redis, Postgres, the DNS and the venue, and nothing else."""
    egress: tuple[Mapping[str, Any], ...] = field(default_factory=_default_egress)
    """Everything a bot reaches, as egress rules of a NetworkPolicy: DNS, Redis, Postgres, the venue."""
    ingress: tuple[Mapping[str, Any], ...] = field(default_factory=_default_ingress)
    """Who reaches a bot's health port, as peers of a NetworkPolicy; at least one, for none means all."""


@dataclass(frozen=True)
class Settings:
    """The whole configuration."""

    namespaces: tuple[str, ...] = ()
    """Namespaces that are watched; none means all."""
    backtest: BacktestSettings = BacktestSettings()
    bot: BotSettings = BotSettings()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """SIGMA_NAMESPACES, comma-separated; SIGMA_BACKTEST and SIGMA_BOT, JSON objects with the fields
        above."""
        namespaces = tuple(filter(None, environment.get("SIGMA_NAMESPACES", "").split(",")))
        return cls(
            namespaces,
            BacktestSettings(**_overrides(environment, "SIGMA_BACKTEST")),
            BotSettings(**_overrides(environment, "SIGMA_BOT")),
        )


def _overrides(environment: Mapping[str, str], variable: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(environment.get(variable, "{}"))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
