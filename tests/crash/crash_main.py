"""Run many cases of the crash matrix: ``python -m tests.crash --cases 1000 --seed 7``."""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import sys
import time
from collections import Counter

from tests.crash.crash_cases import STORIES
from tests.crash.crash_run import Outcome, bench, chunk, redis_servers
from tests.crash.crash_servers import mortal_postgres
from tests.crash.crash_world import VENUES


async def run(cases: int, seed: int, at_once: int) -> list[Outcome]:
    """At least ``cases`` crashes, spread over venues and stories. Each failure is printed when it is seen."""
    outcomes: list[Outcome] = []
    with mortal_postgres() as postgres, redis_servers(at_once) as buses:
        async with bench(postgres.url, buses) as on:
            parts = [(venue, story) for venue in VENUES for story in STORIES]
            share = -(-cases // len(parts))
            crashed, lap = 0, 0
            while crashed < cases:
                for venue, story in parts:
                    got = await chunk(on, venue, story, share, seed + lap)
                    outcomes += got
                    crashed += sum(o.crashed for o in got)
                    bad = [o for o in got if o.error]
                    print(
                        f"seed {seed + lap} {venue} {story}: {len(got)} cases, {len(bad)} failed", flush=True
                    )
                    for o in bad:
                        print(f"FAILED {o.case}\n{o.error}", flush=True)
                    if crashed >= cases:
                        break
                lap += 1
    return outcomes


def main() -> None:
    """Print what was run and what failed; exit code 1 when something did."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="crashes at least [1000]")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="[any; it is printed]")
    parser.add_argument("--at-once", type=int, default=4, help="cases at a time [4]")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    outcomes = asyncio.run(run(options.cases, options.seed, options.at_once))
    failed = sum(bool(o.error) for o in outcomes)
    used = sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime for who in (0, -1))
    spread = Counter(o.case.crashes[0].partition(":")[0] for o in outcomes if o.case.crashes)
    print("crashes by step: " + ", ".join(f"{name} {n}" for name, n in sorted(spread.items())))
    print(
        f"{len(outcomes)} cases, {sum(o.crashed for o in outcomes)} with a crash "
        f"({sum(o.killed for o in outcomes)} kills), {failed} failed; seed {options.seed}; "
        f"{time.monotonic() - began:.0f} s, {used:.0f} s of processor time"
    )
    sys.exit(1 if failed else 0)
