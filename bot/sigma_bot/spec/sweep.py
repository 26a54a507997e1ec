"""Which values of a backtest's parameters a cluster tries, and in how many parts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool

from sigma_bot.spec.blocks import Block, ParamName, Whole
from sigma_bot.spec.units import Words

Values = Annotated[
    str, Words(r"[0-9A-Za-z.,:+ -]{1,200}", 'FIRST:LAST:STEP like "5:50:5", or values like "5,10,20"')
]
MetricName = Annotated[str, Words(r"[a-z][a-z0-9_]{0,63}", 'the name of a metric, like "sharpe"')]


class Sweep(Block):
    """Run the backtest for many values of its parameters. On a command line, `sigma sweep` has the same as
    options."""

    parameters: dict[ParamName, Values] = Field(..., max_length=16)
    """Name of a parameter: the values to try, "FIRST:LAST:STEP" or "A,B,C"."""
    objective: MetricName = "sharpe"
    """Metric that says which run is best."""
    minimise: StrictBool = False
    """The best run is the one with the lowest objective."""
    sampler: Literal["grid", "random"] = "grid"
    """grid: every combination. random: as many as trials says, drawn with the seed."""
    trials: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    """Most combinations that are run. Left out: all of a grid, 100 at random."""
    seed: Annotated[Whole, Field(ge=0, le=2**53)] = 0
    """For random."""
    shards: Annotated[Whole, Field(ge=1, le=64)] = 4
    """Parts that run at one time, each in a pod of its own; a part whose pod is lost is run again."""

    def arguments(self) -> list[str]:
        """The options of `sigma sweep` that say the same."""
        out = [word for name, values in self.parameters.items() for word in ("--param", f"{name}={values}")]
        out += ["--objective", self.objective, "--sampler", self.sampler, "--seed", str(self.seed)]
        if self.trials is not None:
            out += ["--trials", str(self.trials)]
        return [*out, "--minimise"] if self.minimise else out
