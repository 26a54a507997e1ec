"""What the journal is told and tells, besides the records of a change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from sigma_bot.model.orders import FillRow, InputRow, NoticeRow, OrderRow, Usage

R = TypeVar("R")
Scope = Literal["strategy", "account", "all"]
Action = Literal["halt", "resume", "flatten"]


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """Who a bot is. Name, mode, venue, account and currency never change; the rest belongs to a run."""

    name: str
    mode: str  # live, sim
    venue: str
    account: str
    currency: str
    code_digest: str
    manifest_digest: str
    manifest: dict[str, object]


@dataclass(frozen=True, slots=True)
class Registration:
    """A bot as the journal knows it. The digests are those the run was begun (or adopted) with."""

    bot_id: int
    name: str
    run: int
    fresh: bool  # this registration began the run
    code_digest: str
    manifest_digest: str
    commit: int  # number of the last commit, 0 before the first


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """What a bot goes on from. ``state`` is None before the first checkpoint of the run."""

    run: int
    commit: int
    state: str | None
    code_digest: str  # the code that wrote ``state``
    tick: int  # of the checkpoint
    ts: int
    inputs: int  # number of the run's last input
    last_order: int  # highest order_id of the run
    orders: list[OrderRow]  # all that may still fill; LIVE: of earlier runs too
    fills: list[FillRow]  # the latest, oldest first, and all of ``orders``
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class StoredRow(Generic[R]):
    """A stored record with whose it is."""

    bot: str
    run: int
    commit: int
    row: R


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Rows, the newest first. ``after`` is the cursor of the next page, None: there is none."""

    rows: list[StoredRow[R]]
    after: str | None = None

    def __iter__(self) -> Iterator[StoredRow[R]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class NumberedNotice:
    """A notice with its number over all bots: 1, 2, 3 ... in the order in which they became known."""

    number: int
    notice: StoredRow[NoticeRow]


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything written after a commit, as it stands at commit ``commit``: an order appears once, in its
    latest state.
    """

    commit: int
    orders: list[StoredRow[OrderRow]]
    fills: list[StoredRow[FillRow]]
    inputs: list[StoredRow[InputRow]]
    notices: list[StoredRow[NoticeRow]]


@dataclass(frozen=True, slots=True)
class Control:
    """A command given from outside the strategy's code."""

    id: int
    scope: str
    name: str  # of the strategy or account; empty for all
    action: str
    reason: str
    by: str
    ts: int


@dataclass(frozen=True, slots=True)
class Controls:
    """What holds for one bot now. A flatten halts too: the strategy would else buy back what was sold."""

    halts: list[Control] = field(default_factory=list)  # one for each scope that is halted, oldest first
    flatten: list[Control] = field(default_factory=list)  # asked for and not done, oldest first

    @property
    def halted_by(self) -> Control | None:
        """The oldest halt that stands; None when the bot may trade."""
        return self.halts[0] if self.halts else None


@dataclass(frozen=True, slots=True)
class BotRun:
    """One run of a bot. ``first_tick``, ``first_ts`` and ``ended`` are None while they are not known."""

    bot: str
    number: int
    started: int
    code_digest: str
    manifest_digest: str
    manifest: dict[str, object]
    first_tick: int | None
    first_ts: int | None
    ended: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class BotStatus:
    """A bot for a list of bots. Times are ns UTC, 0 for never."""

    name: str
    mode: str
    venue: str
    account: str
    currency: str
    run: int
    started: int
    commit: int
    tick: int
    ts: int
    running: bool  # somebody holds the lease
    holder: str  # who holds it, or held it last; empty: it was given back
    until: int  # when the lease ends, by the database's clock
    open_orders: int
    halts: list[Control]
