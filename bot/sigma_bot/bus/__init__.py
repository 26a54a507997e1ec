"""Messages between processes: Redis Pub/Sub and Streams, or in-process for the embedded default."""

from __future__ import annotations

import os
from pathlib import Path

from sigma_bot.bus.errors import BusError, GapError
from sigma_bot.bus.interface import Bus
from sigma_bot.errors import BadInputError, nearest

URL_VARIABLE = "SIGMA_REDIS_URL"
MEMORY = "memory://"
KEPT = 36_000
"""Entries that a log keeps at least: an hour of ticks."""
_SCHEMES = ("redis", "rediss", "unix", "memory")


def bus_url(explicit: str | None = None) -> str:
    """The address to use: as given, else ``SIGMA_REDIS_URL``, else ``memory://``."""
    return explicit or os.environ.get(URL_VARIABLE) or MEMORY


def open_bus(url: str, log_folder: Path | None = None, kept: int = KEPT) -> Bus:
    """The bus at ``url``: redis://, rediss:// (TLS), unix:// or memory://. Nothing is connected yet.

    ``log_folder`` is a folder in which the in-process bus keeps its logs, so that they outlive the process;
    ``kept`` how many entries of a log stay readable. Raises BadInputError for another scheme, BusError when
    the folder is in use or cannot be written.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise BadInputError(
            f"bus address: scheme {scheme if separator else ''!r} is not known{nearest(scheme, _SCHEMES)}; "
            "write redis://:PASSWORD@HOST:PORT/DATABASE, or memory:// for one process"
        )
    if scheme == "memory":
        from sigma_bot.bus.memory import MemoryBus

        return MemoryBus(log_folder, kept)
    from sigma_bot.bus.redis_bus import RedisBus

    return RedisBus(url, kept)


__all__ = ["KEPT", "MEMORY", "Bus", "BusError", "GapError", "bus_url", "open_bus"]
