"""Which content of a Strategy runs, and what is remembered of the others."""

from __future__ import annotations

from sigma_operator.strategy.revisions import HISTORY_LIMIT, RevisionHistory
from sigma_operator.strategy.state import StrategyState
from tests.unit.operator.operator_samples import NOW, bot_pod

UP = StrategyState("Running", "Running", "the bot trades", ready=True)
STARTING = StrategyState("Starting", "Starting", "not ready yet")
BROKEN = StrategyState("Failed", "BadInput", "code:1: invalid syntax", permanent=True)
HALTED = StrategyState("Halted", "DailyLoss", "lost 3 %", pod=bot_pod())


def outcomes(history: RevisionHistory) -> list[tuple[str, str]]:
    return [(entry.revision, entry.outcome) for entry in history.entries]


def ran(*names: str) -> RevisionHistory:
    history = RevisionHistory()
    for name in names:
        history = history.with_revision(name, NOW).with_verdict(name, UP, 0, 120)
    return history


def test_the_first_one_is_never_rolled_back() -> None:
    history = RevisionHistory().with_revision("a", NOW).with_verdict("a", BROKEN, 1000, 120)
    assert outcomes(history) == [("a", "Starting")]
    assert history.target() == "a"


def test_ready_once_is_ready_for_good() -> None:
    history = ran("a").with_verdict("a", BROKEN, 1000, 120)
    assert outcomes(history) == [("a", "Ready")]


def test_one_that_does_not_become_ready_in_time_is_rolled_back() -> None:
    history = ran("a").with_revision("b", NOW)
    assert history.target() == "b"
    assert history.with_verdict("b", STARTING, 119, 120) == history
    assert history.with_verdict("a", STARTING, 121, 120) == history, (
        "the old pod is not the new content's doing"
    )
    history = history.with_verdict("b", STARTING, 121, 120)
    assert outcomes(history) == [("a", "Ready"), ("b", "RolledBack")]
    assert history.target() == "a"
    progress = history.progress(UP)
    assert (progress.active, progress.reason) == (False, "RolledBack")
    assert "not ready yet" in progress.message


def test_one_that_would_fail_again_is_rolled_back_at_once() -> None:
    history = ran("a").with_revision("b", NOW).with_verdict("b", BROKEN, 1, 120)
    assert history.target() == "a"
    assert "invalid syntax" in history.progress(UP).message


def test_a_halt_is_no_failure_to_start() -> None:
    assert ran("a").with_revision("b", NOW).with_verdict("b", HALTED, 1, 120).entries[-1].outcome == "Ready"


def test_rolled_back_stays_rolled_back_until_suspended_or_changed() -> None:
    history = ran("a").with_revision("b", NOW).with_verdict("b", BROKEN, 1, 120)
    assert history.with_revision("b", NOW) == history
    assert history.with_retry().target() == "b"
    assert history.with_revision("c", NOW).target() == "c"
    back = history.with_revision("a", NOW)
    assert outcomes(back) == [("a", "Ready"), ("b", "RolledBack"), ("a", "Ready")]
    assert back.target() == "a"


def test_replaced_before_it_was_ready_has_failed() -> None:
    history = ran("a").with_revision("b", NOW).with_revision("c", NOW)
    assert outcomes(history) == [("a", "Ready"), ("b", "Failed"), ("c", "Starting")]


def test_ten_are_kept_and_with_them_the_target_of_a_roll_back() -> None:
    history = ran("a")
    for number in range(30):
        history = history.with_revision(f"b{number}", NOW)
    assert len(history.entries) == HISTORY_LIMIT
    assert history.last_ready is not None
    assert history.last_ready.revision == "a"
    assert history.with_verdict("b29", BROKEN, 1, 120).target() == "a"


def test_revisions_that_left_the_history_are_removed() -> None:
    before = ran(*(f"a{number}" for number in range(HISTORY_LIMIT)))
    after = before.with_revision("b", NOW)
    assert after.removed_since(before) == {"a0"}
    assert after.removed_since(after) == set()


def test_it_survives_the_status() -> None:
    history = ran("a").with_revision("b", NOW).with_verdict("b", BROKEN, 1, 120)
    entries = [entry.model_dump(by_alias=True, exclude_none=True) for entry in history.entries]
    assert RevisionHistory.of({"status": {"revisions": entries}}) == history
    assert RevisionHistory.of({}) == RevisionHistory()


def test_what_could_not_be_closed_stays_with_the_revision_that_took_it_over() -> None:
    history = ran("a").with_revision("b", NOW).with_warning("no Job: quota")
    progress = history.progress(STARTING)
    assert (progress.active, progress.reason) == (True, "FlattenFailed")
    assert "no Job: quota" in progress.message
    ready = history.with_verdict("b", UP, 0, 120)
    progress = ready.progress(UP)
    assert (progress.active, progress.reason) == (False, "FlattenFailed"), "it is not forgotten once all runs"
    assert ready.with_revision("a", NOW).progress(UP).reason == "Starting", "the next one is another matter"
