"""What the operator writes into a resource's status."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Block(BaseModel):
    """A frozen part of a status, camelCase outside."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        use_attribute_docstrings=True,
    )


class Condition(Block):
    """One fact about the resource, in the form Kubernetes' tools know."""

    type: Annotated[str, Field(max_length=64)]
    """Name of the fact."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, Field(max_length=64)]
    """Why, in one word for programs."""
    message: Annotated[str, Field(max_length=4096)]
    """Why, in a sentence for people."""
    last_transition_time: Annotated[str, Field(max_length=32)]
    """When the status last changed, ISO 8601 UTC."""
    observed_generation: int
    """Generation of the resource that this was said of."""


class BacktestResult(Block):
    """What a finished backtest found."""

    digest: Annotated[str, Field(max_length=64)]
    """sha256 over code, manifest, data, orders and fills: equal digests mean equal results."""
    run: Annotated[str, Field(max_length=64)] | None = None
    """Id of the stored run, for `sigma results show`; left out where there is no database for results."""
    engine: Annotated[str, Field(max_length=16)]
    """compiled or interpreted."""
    events: int
    """Rows of market data that were run."""
    seconds: dict[str, str] = {}
    """Time for each step, in seconds."""
    metrics: dict[str, str] = {}
    """Main figures of the report, as decimal text."""
    counts: dict[str, int] = {}
    """Orders, fills, rejections; of a sweep its trials, and how many of them were refused."""
    best: dict[str, str] = {}
    """Of a sweep: the parameters of the best run, whose figures these are."""


class RunProgress(Block):
    """How far a run is."""

    percent: Annotated[int, Field(ge=0, le=100)]
    """What is done, in per cent."""
    done: int
    """Rows of market data that are done; of a sweep its parts."""
    total: int
    """Rows, or parts, that there are."""


class BacktestStatus(Block):
    """Where a Backtest stands."""

    observed_generation: int
    """Generation of the resource that this status describes."""
    phase: Literal["Pending", "Running", "Suspended", "Complete", "Failed"]
    """Where it stands, in one word."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)]
    """Complete, Failed and Ready (as Complete, for helm and kubectl)."""
    job: str | None = None
    """Name of the Job that runs it."""
    start_time: str | None = None
    """When the Job started."""
    completion_time: str | None = None
    """When it ended, well or not."""
    progress: RunProgress | None = None
    """How far it is, while it runs and knows."""
    result: BacktestResult | None = None
    """What it found."""
    report: Annotated[str, Field(max_length=512)] | None = None
    """Command that fetches the report from the database for results."""


class Revision(Block):
    """One content the Strategy had: manifest and code."""

    revision: Annotated[str, Field(max_length=16)]
    """Name of the content; the ConfigMap NAME-REVISION holds it."""
    time: Annotated[str, Field(max_length=32)]
    """When it was taken up, ISO 8601 UTC."""
    outcome: Literal["Starting", "Ready", "Failed", "RolledBack"]
    """Starting: not ready yet. Ready: it ran. Failed: it never became ready. RolledBack: so did this one, and
    the revision before it runs again."""
    message: Annotated[str, Field(max_length=1024)] | None = None
    """Why it failed."""
    warning: Annotated[str, Field(max_length=1024)] | None = None
    """What was held before was not closed (swapPolicy: flatten), and why: this one took it over."""


class Halt(Block):
    """A stop of all new orders."""

    reason: Annotated[str, Field(max_length=64)]
    """Why, in one word for programs."""
    message: Annotated[str, Field(max_length=1024)]
    """Why, in a sentence for people."""
    time: Annotated[str, Field(max_length=32)]
    """When it began, ISO 8601 UTC."""


StrategyPhase = Literal["Pending", "Starting", "Running", "Halted", "Suspended", "Failed", "Deleting"]


class StrategyStatus(Block):
    """Where a Strategy stands."""

    observed_generation: int
    """Generation of the resource that this status describes."""
    phase: StrategyPhase
    """Where it stands, in one word."""
    mode: Literal["live", "sim"] | None = None
    """What its bot trades: real money or a virtual account."""
    since: Annotated[str, Field(max_length=32)]
    """When the phase was entered, ISO 8601 UTC."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)]
    """Ready (the bot trades), Progressing (a new revision is on its way), Halted."""
    revision: Annotated[str, Field(max_length=16)] | None = None
    """The content that runs."""
    code_digest: Annotated[str, Field(max_length=64)] | None = None
    """sha256 of the source of the strategy that runs."""
    image: Annotated[str, Field(max_length=512)] | None = None
    """Image the bot runs."""
    last_halt: Halt | None = None
    """The last time it was halted."""
    revisions: Annotated[tuple[Revision, ...], Field(max_length=10)] = ()
    """The last ten contents, the newest last."""
