"""The crash matrix: a real bot process is killed at steps of the order path, with every answer of a venue,
and nothing may be lost or doubled. `python -m tests.crash` runs as many cases as wanted."""

from __future__ import annotations

import pytest

from tests.crash.crash_cases import STORIES
from tests.crash.crash_run import chunk
from tests.crash.crash_world import VENUES

CRASHES = 15
"""For each venue and story at least: 300 in all."""
SEED = 1


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("venue", VENUES)
def test_nothing_is_lost_or_doubled(venue, story, on_bench):
    outcomes = on_bench(lambda bench: chunk(bench, venue, story, CRASHES, SEED))
    failed = [f"{o.case}\n{o.error}" for o in outcomes if o.error]
    assert not failed, f"{len(failed)} of {len(outcomes)} cases:\n" + "\n\n".join(failed)
    crashed = sum(o.crashed for o in outcomes)
    assert crashed >= CRASHES, f"only {crashed} of {len(outcomes)} cases killed the bot"
