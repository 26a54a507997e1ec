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
    engine: Annotated[str, Field(max_length=16)]
    """compiled or interpreted."""
    events: int
    """Rows of market data that were run."""
    seconds: dict[str, str] = {}
    """Time for each step, in seconds."""
    metrics: dict[str, str] = {}
    """Main figures of the report, as decimal text."""
    counts: dict[str, int] = {}
    """Orders, fills, rejections."""


class BacktestStatus(Block):
    """Where a Backtest stands."""

    observed_generation: int
    """Generation of the resource that this status describes."""
    phase: Literal["Pending", "Running", "Complete", "Failed"]
    """Where it stands, in one word."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)]
    """Complete, Failed and Ready (as Complete, for helm and kubectl)."""
    job: str | None = None
    """Name of the Job that runs it."""
    start_time: str | None = None
    """When the Job started."""
    completion_time: str | None = None
    """When it ended, well or not."""
    result: BacktestResult | None = None
    """What it found."""
