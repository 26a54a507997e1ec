"""What a feed counts and measures, for whoever exports it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class SymbolCounters:
    """One symbol's. ``received_ts`` ns UTC of its newest event, 0 before the first."""

    messages: int = 0
    ticks: int = 0
    gaps: int = 0
    malformed: int = 0
    repeats: int = 0
    silences: int = 0
    received_ts: int = 0


@dataclass(slots=True)
class Counters:
    """A feed's since its start. Times are ns; ``malformed`` holds those that name no symbol we know."""

    messages: int = 0
    ticks: int = 0
    batches: int = 0
    gaps: int = 0
    malformed: int = 0
    refusals: int = 0
    connections: int = 0
    reconnects: int = 0
    renewals: int = 0
    bus_errors: int = 0
    republished: int = 0
    lost_batches: int = 0
    late_ns: int = 0  # how late the newest interval was closed
    waiting: int = 0  # batches that the bus has not taken yet
    connected: bool = False
    last_seq: int = 0
    last_ts: int = 0
    clock_offset_ns: int | None = None  # the venue's clock minus ours
    clock_accuracy_ns: int | None = None
    last_error: str = ""
    symbols: dict[str, SymbolCounters] = field(default_factory=dict)
