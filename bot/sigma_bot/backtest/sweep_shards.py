"""A sweep in parts: each part runs its share of the combinations, anywhere, and all parts together give what
one process would have given.

A part is found by its content: code, data, the manifest's decisions and what is searched. So a part that was
run already is not run again, and parts of another sweep are never mixed in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sigma_bot.backtest.replay import InvalidParamsError, Replay
from sigma_bot.backtest.sweep import Params, Plan, Progress, Runner, TrialResult, combinations_of
from sigma_bot.backtest.tester import manifest_digest
from sigma_bot.errors import BadInputError
from sigma_bot.results.result import BacktestResult

MOST = 1000


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (from 1) of ``count``."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``2/8``. Raises BadInputError."""
        match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MOST:
            raise BadInputError(f"--shard {text}: write PART/PARTS, from 1/1 to {MOST}/{MOST}, like 2/8")
        return cls(int(match[1]), int(match[2]))

    def share(self, chosen: Sequence[Params]) -> list[tuple[int, Params]]:
        """Its combinations with their numbers in the whole sweep: every ``count``-th one, since neighbours
        take about as long."""
        return [(i, params) for i, params in enumerate(chosen) if i % self.count == self.index - 1]


def check_plan(plan: Plan) -> None:
    """Raises BadInputError for a plan that has no parts."""
    if plan.sampler == "tpe":
        raise BadInputError("--sampler tpe: learns from every run before, so it can't be run in parts")


def key_of(replay: Replay, plan: Plan) -> str:
    """What names a sweep by its content."""
    loaded = replay.loaded
    said = {
        "code": loaded.digest,
        "manifest": manifest_digest(replay.manifest, loaded),
        "data": replay.market.digest(),
        "every": replay.sample_every,
        "axes": [[axis.name, list(axis.values)] for axis in plan.axes],
        "sampler": plan.sampler,
        "trials": plan.trials,
        "seed": plan.seed,
    }
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def name_of(replay: Replay, plan: Plan, shard: Shard) -> str:
    """The name under which a part is stored."""
    return f"{replay.manifest.metadata.name} {shard.index}/{shard.count} of {key_of(replay, plan)[:16]}"


def run_shard(
    replay: Replay, plan: Plan, shard: Shard, progress: Progress = lambda _done, _total: None
) -> list[TrialResult]:
    """The outcomes of one part, numbered as in the whole sweep."""
    check_plan(plan)
    share = shard.share(combinations_of(plan))
    with Runner(replay, plan.jobs, progress) as runner:
        return runner.run([params for _, params in share], len(share), [number for number, _ in share])


def sample_of(replay: Replay, outcomes: Sequence[TrialResult]) -> BacktestResult:
    """Any result of the sweep, for what all runs share. Raises BadInputError when there is none."""
    valid = next((outcome.params for outcome in outcomes if not outcome.invalid), {})
    try:
        return replay.trial(valid)
    except InvalidParamsError as error:
        raise BadInputError(f"--param: every combination of this part is refused: {error}") from error


def merged(plan: Plan, parts: Sequence[Sequence[TrialResult]]) -> list[TrialResult]:
    """All outcomes in the order in which one process asks for them. Raises BadInputError when some miss."""
    check_plan(plan)
    chosen = combinations_of(plan)
    outcomes = sorted((outcome for part in parts for outcome in part), key=lambda outcome: outcome.number)
    found = [(outcome.number, dict(outcome.params)) for outcome in outcomes]
    if found != list(enumerate(chosen)):
        held = f"{len(found):,} runs of {len(chosen):,}"
        raise BadInputError(f"--merge: the parts hold {held}; run all of them")
    return outcomes
