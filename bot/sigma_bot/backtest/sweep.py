"""Many runs of one backtest over its parameters: by grid, at random, or led by Optuna.

Every run stands for itself: its own broker, strategy and digest. What is shared is read only, so the
outcome does not depend on the number of processes.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from sigma_bot.backtest.replay import InvalidParamsError, Replay
from sigma_bot.backtest.sweep_space import Axis, drawn, grid
from sigma_bot.errors import BadInputError, SigmaError, nearest
from sigma_bot.metrics.definitions import DEFINITIONS, Metric
from sigma_bot.metrics.metrics import Basis, metrics_of, returns_for
from sigma_bot.metrics.ratios import deflated_sharpe, per_period
from sigma_bot.results.result import BacktestResult
from sigma_bot.results.trades import result_trades
from sigma_bot.runtime.loader import Value

Sampler = Literal["grid", "random", "tpe"]
Params = dict[str, Value]
Progress = Callable[[int, int], None]
# Optuna is asked for this many combinations before it is told how they did, whatever the number of processes:
# the same seed then leads through the same space on every machine.
BATCH = 8


@dataclass(frozen=True)
class TrialResult:
    """One trial. ``invalid`` says why its parameters were refused; then there are no metrics."""

    number: int
    params: Mapping[str, Value]
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    digest: str = ""
    invalid: str = ""

    def score(self, objective: str) -> float | None:
        """The objective's value; None when the trial is invalid or the metric undefined."""
        value = self.metrics.get(objective)
        return None if value is None else float(value)


@dataclass(frozen=True)
class Plan:
    """What to search and how. ``trials`` None means all of the grid."""

    axes: tuple[Axis, ...]
    objective: str = "sharpe"
    maximise: bool = True
    sampler: Sampler = "grid"
    trials: int | None = None
    seed: int = 0
    jobs: int = 1


@dataclass(frozen=True)
class SweepResult:
    """All trials in the order they were asked for, and the best of them run once more in full.

    ``deflated`` is the deflated Sharpe ratio of the best run: the probability that its true Sharpe ratio is
    above what the best of as many worthless runs would have shown.
    """

    plan: Plan
    trials: tuple[TrialResult, ...]
    best: TrialResult
    result: BacktestResult
    deflated: float | None
    digest: str
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def valid(self) -> list[TrialResult]:
        """Trials that ran."""
        return [t for t in self.trials if not t.invalid]

    @property
    def ranked(self) -> list[TrialResult]:
        """Valid trials from the best to the worst; those without a value come last."""
        sign = -1.0 if self.plan.maximise else 1.0
        scores = [(t.score(self.plan.objective), t) for t in self.valid]
        known = sorted(((sign * s, t.number, t) for s, t in scores if s is not None), key=lambda x: x[:2])
        return [t for _, _, t in known] + [t for s, t in scores if s is None]


def check_objective(name: str) -> None:
    """Raises BadInputError for what is no metric or no number."""
    if name not in DEFINITIONS:
        raise BadInputError(f"--objective {name}: there is no such metric{nearest(name, DEFINITIONS)}")
    if DEFINITIONS[name].kind in ("time", "text"):
        raise BadInputError(f"--objective {name}: is no number; take one such as sharpe")


def run_sweep(replay: Replay, plan: Plan, progress: Progress = lambda _done, _total: None) -> SweepResult:
    """Run every trial. Raises BadInputError when not one of them has an outcome, and StrategyError with the
    parameters when the strategy raised."""
    started = time.perf_counter()
    with Runner(replay, plan.jobs, progress) as runner:
        if plan.sampler == "tpe":
            outcomes = _guided(runner, plan)
        else:
            chosen = combinations_of(plan)
            outcomes = runner.run(chosen, len(chosen))
    return conclude(replay, plan, outcomes, started)


def combinations_of(plan: Plan) -> list[Params]:
    """What a grid or a random sweep runs, in order."""
    if plan.sampler == "grid":
        return grid(plan.axes, plan.trials)
    return drawn(plan.axes, plan.trials or 100, plan.seed)


def conclude(replay: Replay, plan: Plan, outcomes: Sequence[TrialResult], started: float) -> SweepResult:
    """What the outcomes of all trials say; ``started`` by ``time.perf_counter``."""
    best = _best(outcomes, plan)
    result = replay.trial(best.params)
    return SweepResult(
        plan=plan,
        trials=tuple(outcomes),
        best=best,
        result=result,
        deflated=_deflated(result, outcomes),
        digest=_digest(outcomes),
        seconds=time.perf_counter() - started,
        notes=tuple(_notes(replay, outcomes)),
    )


class Runner:
    """Runs combinations on several cores, each a forked process that shares the columns and the compiled
    code. Processes and not threads: what Python does around a compiled run takes as long as the run, and
    threads would do it one after another. An error or Ctrl-C ends the others at their next checkpoint."""

    def __init__(self, replay: Replay, jobs: int, progress: Progress) -> None:
        self.replay, self.progress = replay, progress
        self.stop = mmap.mmap(-1, 1)  # one byte that all processes see
        self.jobs = jobs if "fork" in multiprocessing.get_all_start_methods() else 1
        self.pool: ProcessPoolExecutor | None = None
        self.done = 0

    def __enter__(self) -> Runner:
        if self.jobs > 1:
            fork = multiprocessing.get_context("fork")
            self.pool = ProcessPoolExecutor(
                self.jobs, fork, initializer=_enter_worker, initargs=(self.replay, self.stop)
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop[0] = 1
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def run(
        self, chosen: Sequence[Params], total: int, numbers: Sequence[int] | None = None
    ) -> list[TrialResult]:
        """The outcomes, in the order of ``chosen``; they are numbered on from the last call, unless told."""
        first, rows = self.done, self.replay.market.rows
        if numbers is None:
            numbers = range(first, first + len(chosen))
        results: Iterator[TrialResult]
        if self.pool is None:
            results = (
                _trial(self.replay, n, params, self.stop) for n, params in zip(numbers, chosen, strict=True)
            )
        else:
            share = max(1, min(32, len(chosen) // (8 * self.jobs)))
            results = self.pool.map(_work, numbers, chosen, chunksize=share)
        outcomes: list[TrialResult] = []
        for outcome in results:
            outcomes.append(outcome)
            self.done += 1
            self.progress(self.done * rows, total * rows)
        return outcomes


_shared: tuple[Replay, mmap.mmap] | None = None


def _enter_worker(replay: Replay, stop: mmap.mmap) -> None:
    """In a forked process: what was forked is found here. Ctrl-C is the parent's business."""
    global _shared  # noqa: PLW0603 - a worker's only state
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared = replay, stop


def _work(number: int, params: Params) -> TrialResult:
    assert _shared is not None
    return _trial(_shared[0], number, params, _shared[1])


def _trial(replay: Replay, number: int, params: Params, stop: mmap.mmap) -> TrialResult:
    """One run and its metrics."""
    try:
        result = replay.trial(params, stop)
    except InvalidParamsError as error:
        return TrialResult(number, params, invalid=str(error))
    except SigmaError as error:
        raise type(error)(f"with {show_params(params)}: {error}") from error
    return TrialResult(number, params, metrics_of(result, result_trades(result)), result.digest)


def _guided(runner: Runner, plan: Plan) -> list[TrialResult]:
    """Let Optuna's tree-structured Parzen estimator choose (Bergstra et al., 2011). A combination that it
    asks for twice is run once; invalid ones and those without a value are reported as failed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize" if plan.maximise else "minimize",
        sampler=optuna.samplers.TPESampler(seed=plan.seed, constant_liar=True),
    )
    space: dict[str, optuna.distributions.BaseDistribution] = {
        axis.name: optuna.distributions.IntDistribution(0, len(axis.values) - 1) for axis in plan.axes
    }
    known: dict[tuple[Value, ...], TrialResult] = {}
    wanted = plan.trials or 100
    for first in range(0, wanted, BATCH):
        asked = [study.ask(space) for _ in range(min(BATCH, wanted - first))]
        chosen = [{axis.name: axis.values[t.params[axis.name]] for axis in plan.axes} for t in asked]
        fresh = {tuple(c.values()): c for c in chosen if tuple(c.values()) not in known}
        for outcome in runner.run(list(fresh.values()), wanted):
            known[tuple(outcome.params.values())] = outcome
        for trial, combination in zip(asked, chosen, strict=True):
            score = known[tuple(combination.values())].score(plan.objective)
            failed = optuna.trial.TrialState.FAIL if score is None else None
            study.tell(trial, score, state=failed)
    return list(known.values())


def _best(outcomes: Sequence[TrialResult], plan: Plan) -> TrialResult:
    scored = [(s, t) for t in outcomes if (s := t.score(plan.objective)) is not None]
    if scored:
        choose = max if plan.maximise else min
        return choose(scored, key=lambda pair: pair[0])[1]
    refused = [t for t in outcomes if t.invalid]
    if len(refused) == len(outcomes):
        first = refused[0]
        raise BadInputError(
            f"--param: the strategy refuses every combination, the first ({show_params(first.params)}) "
            f"with: {first.invalid}"
        )
    raise BadInputError(
        f"--objective {plan.objective}: is undefined in every run (no trades, or too short a period); "
        "take another one, such as total_return"
    )


def _deflated(result: BacktestResult, outcomes: Sequence[TrialResult]) -> float | None:
    """Deflated Sharpe ratio of the best run. Refused combinations had no chance to win: they do not count."""
    basis = Basis.of(result.manifest)
    returns = returns_for(result, basis)
    valid = [t for t in outcomes if not t.invalid]
    ratios = [
        float(ratio) / math.sqrt(float(year))
        for t in valid
        if (ratio := t.metrics["sharpe"]) is not None and (year := t.metrics["periods_per_year"])
    ]
    free = per_period(basis.risk_free, returns.per_year)
    return deflated_sharpe(returns.strategy, len(valid), ratios, free)


def _digest(outcomes: Sequence[TrialResult]) -> str:
    """sha256 over every trial's parameters and digest, in order."""
    rows = [[dict(t.params), t.digest] for t in outcomes]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _notes(replay: Replay, outcomes: Sequence[TrialResult]) -> Iterator[str]:
    if not replay.compiled:
        why = f": {replay.reason}" if replay.reason else ""
        yield f"the strategy runs interpreted, some fifty times slower than compiled{why}"
    refused = [t for t in outcomes if t.invalid]
    if refused:
        first = refused[0]
        yield (
            f"{len(refused):,} of {len(outcomes):,} combinations were refused, the first "
            f"({show_params(first.params)}): {first.invalid}"
        )


def show_params(params: Mapping[str, Any]) -> str:
    """``fast=5, slow=20``."""
    return ", ".join(f"{name}={value:g}" for name, value in params.items())
