"""Whatever is committed, in whatever order, is what is read back: the journal against a model of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.journal import FillConflictError, IllegalTransitionError, Journal, open_journal
from sigma_bot.model.orders import LIVING, TRANSITIONS, Change, FillRow, InputRow, NoticeRow, OrderRow, State
from tests.integration.journal.journal_samples import fill, order, started
from tests.support import servers

AMOUNTS = st.decimals(Decimal("0.00000001"), Decimal(10**12), allow_nan=False, places=8)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=5)
ORDERS = st.builds(
    order,
    st.integers(1, 6),
    st.sampled_from(list(State)),
    quantity=AMOUNTS,
    filled=AMOUNTS,
    limit_price=st.none() | AMOUNTS,
    venue_id=st.none() | WORDS,
    reason=WORDS,
)
FILLS = st.builds(
    fill,
    st.sampled_from(["a", "b", "c", "d"]),
    st.integers(1, 2),
    price=st.sampled_from([Decimal(1), Decimal(2)]),
)
NOTICES = st.builds(NoticeRow, WORDS, WORDS, WORDS, st.integers(0, 2**62))
CHANGES = st.builds(
    Change,
    tick=st.integers(0, 2**62),
    ts=st.integers(0, 2**62),
    state=st.none() | WORDS,
    orders=st.lists(ORDERS, max_size=4),
    fills=st.lists(FILLS, max_size=3),
    notices=st.lists(NOTICES, max_size=2),
)


@dataclass
class Model:
    """What the journal should hold."""

    state: str | None = None
    tick: int = 0
    orders: dict[str, OrderRow] = field(default_factory=dict)
    fills: dict[str, FillRow] = field(default_factory=dict)
    notices: list[NoticeRow] = field(default_factory=list)
    inputs: list[InputRow] = field(default_factory=list)
    commits: int = 0

    def refuses(self, change: Change) -> type[Exception] | None:
        """The error that this change must meet."""
        last = {row.client_id: row for row in change.orders}
        for client_id, row in last.items():
            old = self.orders.get(client_id)
            if old is not None and old.state != row.state and row.state not in TRANSITIONS[old.state]:
                return IllegalTransitionError
        known = dict(self.fills)
        for row in change.fills:  # type: ignore[assignment]
            if known.setdefault(row.trade_id, row) != row:  # type: ignore[arg-type, attr-defined]
                return FillConflictError
        return None

    def take(self, change: Change) -> None:
        """Apply it."""
        self.commits += 1
        if change.state is not None:
            self.state, self.tick = change.state, change.tick
        for row in change.orders:
            self.orders[row.client_id] = replace(row)
        for fill_row in change.fills:
            self.fills.setdefault(fill_row.trade_id, fill_row)
        self.notices += change.notices
        self.inputs += change.inputs


async def play(url: str, changes: list[Change]) -> None:
    async with await open_journal(url) as journal:
        name = f"bot-{len(await journal.bots())}"
        lease = await started(journal, name, mode="sim")
        model = Model()
        for change in changes:
            change.inputs = [InputRow(len(model.inputs) + 1, change.tick, "gate", {"state": change.state})]
            error = model.refuses(change)
            if error is None:
                model.take(change)
                assert await journal.commit(lease, change) == model.commits
            else:
                with pytest.raises(error):
                    await journal.commit(lease, change)
        await assert_is(journal, name, model)


async def assert_is(journal: Journal, name: str, model: Model) -> None:
    loaded = await journal.load(name)
    assert loaded is not None
    assert (loaded.state, loaded.tick, loaded.commit) == (model.state, model.tick, model.commits)
    assert loaded.inputs == len(model.inputs)
    living = [row for row in model.orders.values() if row.state in LIVING]
    assert loaded.orders == sorted(living, key=lambda row: row.order_id)
    assert loaded.fills == list(model.fills.values())
    since = await journal.changes_since(name, 0)
    assert sorted((e.row for e in since.orders), key=lambda row: row.order_id) == sorted(
        model.orders.values(), key=lambda row: row.order_id
    )
    assert [entry.row for entry in since.notices] == model.notices
    assert [entry.row for entry in since.inputs] == model.inputs
    last = await journal.changes_since(name, model.commits)
    assert (last.orders, last.fills, last.inputs, last.notices) == ([], [], [], [])


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database for all examples: each has a bot of its own."""
    if request.param == "sqlite":
        return str(tmp_path_factory.mktemp("sequences") / "journal.db")
    server: servers.Postgres = request.getfixturevalue("postgres_server")
    return server.create_database()


@given(changes=st.lists(CHANGES, max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_changes_are_read_back(shared: str, changes: list[Change]) -> None:
    asyncio.run(play(shared, changes))
