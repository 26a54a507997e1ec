"""Halts, resumes and flattens of every scope."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from sigma_bot.errors import BadInputError
from sigma_bot.journal import Journal
from tests.integration.journal.journal_samples import NOW, identity

SCOPES: Any = (("strategy", "one"), ("account", "main"), ("all", ""))


@pytest.fixture
async def bots(journal: Journal) -> Journal:
    """Two bots of one account, and one of another."""
    for name, account in (("one", "main"), ("two", "main"), ("far", "other")):
        await journal.register(identity(name, account=account), NOW)
    return journal


async def halted(journal: Journal) -> list[str]:
    names = ("far", "one", "two")
    return [name for name in names if (await journal.controls_for(name)).halted_by is not None]


@pytest.mark.parametrize(
    ("scope", "name", "whom"),
    [("strategy", "one", ["one"]), ("account", "main", ["one", "two"]), ("all", "", ["far", "one", "two"])],
)
async def test_a_halt_holds_for_its_scope(bots: Journal, scope: Any, name: str, whom: list[str]) -> None:
    given = await bots.control(scope, name, "halt", "odd fills", "ann", NOW)
    assert await halted(bots) == whom
    found = await bots.controls_for(whom[0])
    assert (found.halts, found.halted_by, found.flatten) == ([given], given, [])
    assert (given.reason, given.by, given.ts, given.action) == ("odd fills", "ann", NOW, "halt")
    await bots.control(scope, name, "resume", "", "ann", NOW + 1)
    assert await halted(bots) == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_a_resume_lifts_its_own_scope_only(bots: Journal, order: tuple[int, ...]) -> None:
    for scope, name in SCOPES:
        await bots.control(scope, name, "halt", scope, "ann", NOW)
    left = {scope for scope, _ in SCOPES}
    for which in order:
        scope, name = SCOPES[which]
        assert {halt.scope for halt in (await bots.controls_for("one")).halts} == left
        await bots.control(scope, name, "resume", "", "ann", NOW)
        left.remove(scope)
    assert (await bots.controls_for("one")).halts == []


async def test_a_flatten_halts_and_is_done_once_by_each_bot(bots: Journal) -> None:
    given = await bots.control("account", "main", "flatten", "", "ann", NOW)
    assert await halted(bots) == ["one", "two"]
    assert (await bots.controls_for("one")).flatten == [given]
    await bots.done("one", given.id, NOW)
    await bots.done("one", given.id, NOW)
    assert (await bots.controls_for("one")).flatten == []
    assert (await bots.controls_for("two")).flatten == [given]
    assert await halted(bots) == ["one", "two"], "flat, and halted until resumed"
    await bots.control("account", "main", "resume", "", "ann", NOW)
    assert await halted(bots) == []
    assert (await bots.controls_for("two")).flatten == [], "dropped, though not done yet"


async def test_a_new_bot_is_halted_by_what_holds_and_has_nothing_to_flatten(bots: Journal) -> None:
    await bots.control("all", "", "flatten", "", "ann", NOW)
    await bots.register(identity("new"), NOW)
    found = await bots.controls_for("new")
    assert ([halt.scope for halt in found.halts], found.flatten) == (["all"], [])


async def test_history_is_kept(bots: Journal) -> None:
    given = [
        await bots.control("all", "", action, str(number), "ann", NOW + number)  # type: ignore[arg-type]
        for number, action in enumerate(("halt", "resume", "halt"))
    ]
    assert await bots.control_history() == given[::-1]
    assert await bots.control_history(limit=1) == given[-1:]


async def test_a_name_that_is_not_known(bots: Journal) -> None:
    with pytest.raises(BadInputError, match="bot 'onw' is not in the journal; did you mean 'one'"):
        await bots.control("strategy", "onw", "halt", "", "ann", NOW)
    with pytest.raises(BadInputError, match=r"account 'mian': no bot of it.*; did you mean 'main'"):
        await bots.control("account", "mian", "halt", "", "ann", NOW)
    assert await bots.control_history() == []


async def test_a_resume_drops_a_flatten_of_its_scope_that_is_not_finished(bots: Journal) -> None:
    given = await bots.control("account", "main", "flatten", "", "ann", NOW)
    await bots.control("strategy", "one", "resume", "", "ann", NOW)
    assert (await bots.controls_for("one")).flatten == [given]
    await bots.control("account", "main", "resume", "", "ann", NOW)
    assert (await bots.controls_for("one")).flatten == []
    again = await bots.control("account", "main", "flatten", "", "ann", NOW)
    assert (await bots.controls_for("one")).flatten == [again]
