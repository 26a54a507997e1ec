"""What a cluster gives a bot or a run: image, processor, memory, time. Elsewhere nothing reads these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from sigma_bot.spec.blocks import Block, ObjectName, Problem, Whole
from sigma_bot.spec.units import Between, Duration, Words

ImageName = Annotated[
    str, Words(r"[a-z0-9][A-Za-z0-9._:/@-]{0,510}", 'the name of an image, like "ghcr.io/me/bot:1.2"')
]
Cpu = Annotated[
    str, Words(r"[1-9][0-9]{0,5}m|[1-9][0-9]{0,2}", 'processors, like "500m" (half of one) or "2"')
]
Memory = Annotated[str, Words(r"[1-9][0-9]{0,6}(Mi|Gi)", 'an amount of memory, like "512Mi" or "4Gi"')]


class PodOptions(Block):
    """The pod a bot runs in. What is left out is the installation's default."""

    image: ImageName | None = None
    """Image in place of the installation's, built on top of it: for a strategy that needs more packages."""
    cpu: Cpu | None = None
    """Processors it is given at least; idle ones may be used too, up to the installation's limit."""
    memory: Memory | None = None
    """Memory it is given, and the most it may use."""


class JobOptions(PodOptions):
    """The Job a backtest runs in. What is left out is the installation's default."""

    deadline: Annotated[Duration, Between("1s", "7d")] | None = None
    """Time after which the run is given up."""
    retries: Annotated[Whole, Field(ge=0, le=10)] | None = None
    """How often a run is repeated that its machine broke off. A strategy that failed is never repeated."""
    ttl: Annotated[Duration, Between("0s", "365d")] | None = None
    """Time for which the finished Job and its log stay. The result stays with the Backtest."""
    data_claim: ObjectName | None = None
    """PersistentVolumeClaim with market data; it appears at /data, read-only."""
    data_config_map: ObjectName | None = None
    """ConfigMap with market data (up to 1 MB); its entries appear as files in /data."""

    def problems(self) -> Iterator[Problem]:
        """One thing lies at /data."""
        if self.data_claim is not None and self.data_config_map is not None:
            yield ("dataConfigMap",), "leave it out or leave 'dataClaim' out: one of them lies at /data"
