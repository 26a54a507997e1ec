"""How many processors there are for this process."""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def cores(groups: Path = CGROUPS) -> int:
    """Processors this process may use: of the machine, of those it is bound to, and of what its container is
    limited to, where only whole ones count. One at least."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, int(_limit(groups) or bound)))


def _limit(groups: Path) -> float | None:
    """Processors that the container may use at one time, by its time in a period; None: no limit."""
    both = groups / "cpu.max"  # cgroup v2
    try:
        if both.exists():
            quota, period = both.read_text().split()
        else:
            folder = groups / "cpu"
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")
            )
    except OSError:
        return None  # no container, or a system without cgroups
    return None if quota in ("max", "-1") else int(quota) / int(period)
