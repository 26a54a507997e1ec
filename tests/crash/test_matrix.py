"""The crash matrix: a real bot process is killed at steps of the order path, with every answer of a venue,
and nothing may be lost or doubled. `python -m tests.crash` runs as many cases as wanted."""

from __future__ import annotations

import pytest
from crash_cases import STORIES
from crash_run import bench, chunk
from crash_world import VENUES

CASES = 18
"""Crashes for each venue and story: 324 in all."""
SEED = 1


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("venue", VENUES)
async def test_nothing_is_lost_or_doubled(venue, story, crash_database, crash_buses):
    async with bench(crash_database, crash_buses) as on:
        outcomes = await chunk(on, venue, story, CASES, SEED)
    failed = [f"{o.case}\n{o.error}" for o in outcomes if o.error]
    assert not failed, f"{len(failed)} of {len(outcomes)} cases:\n" + "\n\n".join(failed)
    crashed = sum(o.crashed for o in outcomes)
    assert crashed >= CASES, f"only {crashed} of {len(outcomes)} cases killed the bot"
