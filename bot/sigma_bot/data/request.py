"""A Backtest's data block in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Wanted:
    """One market: its symbol and, when it has its own, the path of its data."""

    symbol: str
    path: str | None = None


@dataclass(frozen=True)
class Request:
    """A data block in plain values. ``start`` inclusive, ``end`` exclusive (ns); relative paths start at
    ``base``."""

    markets: tuple[Wanted, ...]
    source: str = "file"
    path: str | None = None
    kind: str = "auto"
    timeframe: int | None = None
    stamps: str = "auto"
    timezone: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    funding: str | None = None
    start: int | None = None
    end: int | None = None
    base: Path = Path()

    def resolve(self, path: str) -> Path:
        """A path of the manifest as a path of this machine."""
        return self.base / Path(path).expanduser()
