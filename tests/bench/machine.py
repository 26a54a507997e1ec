"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> str:
    """One line: processor, cores, versions, day, and how busy the machine is."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy", "pyarrow"))
    cores = len(os.sched_getaffinity(0))
    return (
        f"{processor()}, {cores} cores · Python {platform.python_version()}, {versions} · "
        f"{datetime.now(UTC):%Y-%m-%d} · load average {os.getloadavg()[0]:.1f}"
    )
