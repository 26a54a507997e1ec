"""What is measured while it runs: resident memory and the bots' own counters."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median

from tests.soak.stage import Proc, Stage

SAMPLE = re.compile(r"^(sigma_\w+_total)(\{[^}]*\})? (\S+)$", re.M)
SETTLED_S = 300.0
"""A process fills what it may keep first, a feed its last five minutes; its slope is taken from then on."""
LEAST_S = 120.0


def rss_mib(pid: int) -> float | None:
    """Resident memory of a process; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmRSS:\s+(\d+)", text)
    return int(found[1]) / 1024 if found else None


class Watch:
    """Samples until cancelled."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        # by role and process: [(seconds, MiB)]
        self.memory: dict[str, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
        self.counters: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)

    async def run(self) -> None:
        while True:
            self.sample()
            asked = [proc for proc in self.stage.all if proc.port]
            await asyncio.gather(*(asyncio.to_thread(self.scrape, proc) for proc in asked))
            await asyncio.sleep(2.0)

    def sample(self) -> None:
        now = time.monotonic()
        with (self.stage.folder / "memory.csv").open("a") as file:
            for proc in self.stage.all:
                if proc.running and (mib := rss_mib(proc.pid)) is not None:
                    self.memory[self.role(proc)][proc.pid].append((now, mib))
                    file.write(f"{now:.1f},{proc.name},{proc.pid},{mib:.3f}\n")

    def role(self, proc: Proc) -> str:
        mode = getattr(proc, "mode", None)
        return f"{mode} bot" if mode else proc.name

    def scrape(self, proc: Proc) -> None:
        if not proc.running or proc.frozen:
            return
        pid = proc.pid
        status, text = proc.ask("/metrics")
        if status == 200:
            found = self.counters[proc.name, pid]
            for name, labels, value in SAMPLE.findall(text):
                found[name + labels] = float(value)

    def totals(self) -> Counter[str]:
        """The counters of bots and feeds over all their lives; of a killed life up to its last scrape."""
        out: Counter[str] = Counter()
        for found in self.counters.values():
            for name, value in found.items():
                out[name] += int(value)
        return out

    def memories(self) -> dict[str, tuple[float, float | None, int]]:
        """By role: the largest MiB, the median slope in MiB an hour over lives that were long enough, and the
        number of those lives."""
        out = {}
        for role, lives in sorted(self.memory.items()):
            slopes = [s for s in map(slope, lives.values()) if s is not None]
            largest = max(mib for life in lives.values() for _, mib in life)
            out[role] = (largest, median(slopes) if slopes else None, len(slopes))
        return out


def slope(life: list[tuple[float, float]]) -> float | None:
    """MiB an hour by least squares, after the first seconds; None for a life that was too short."""
    begun = life[0][0]
    points = [(t, mib) for t, mib in life if t - begun >= SETTLED_S]
    if not points or points[-1][0] - points[0][0] < LEAST_S:
        return None
    n = len(points)
    mean_t, mean_m = sum(t for t, _ in points) / n, sum(m for _, m in points) / n
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    return sum((t - mean_t) * (m - mean_m) for t, m in points) / spread * 3600
