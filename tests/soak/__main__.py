"""``python -m tests.soak --minutes 30 --bots 20``: bots, venues, feeds and databases as real processes, with
faults at random; then everything they did is held against the venues' own accounts and against backtests."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.soak.run import soak


def main() -> int:
    """0 when everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="how long things go wrong (30)")
    parser.add_argument("--bots", type=int, default=20, help="half LIVE, half SIM (20)")
    parser.add_argument("--venues", default="binance,upbit", help="binance,upbit")
    parser.add_argument("--every", type=float, default=4, help="seconds between two faults (4)")
    parser.add_argument("--seed", type=int, default=None, help="the same faults again")
    parser.add_argument("--folder", type=Path, default=None, help="keep logs and recordings there")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory(prefix="sigma-soak-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        report = asyncio.run(
            soak(folder.resolve(), given.minutes * 60, given.bots, given.venues.split(","), seed, given.every)
        )
    print(report.text())
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
