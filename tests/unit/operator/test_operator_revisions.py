"""Which content of a Strategy runs, and what is remembered of the others."""

from __future__ import annotations

from operator_samples import NOW, bot_pod

from sigma_operator.strategy.observe import Finding
from sigma_operator.strategy.revisions import KEPT, History

UP = Finding("Running", "Running", "the bot trades", ready=True)
STARTING = Finding("Starting", "Starting", "not ready yet")
BROKEN = Finding("Failed", "BadInput", "code:1: invalid syntax", final=True)
HALTED = Finding("Halted", "DailyLoss", "lost 3 %", pod=bot_pod())


def outcomes(history: History) -> list[tuple[str, str]]:
    return [(entry.revision, entry.outcome) for entry in history.entries]


def ran(*names: str) -> History:
    history = History()
    for name in names:
        history = history.take_up(name, NOW).judged(name, UP, 0, 120)
    return history


def test_the_first_one_is_never_rolled_back() -> None:
    history = History().take_up("a", NOW).judged("a", BROKEN, 1000, 120)
    assert outcomes(history) == [("a", "Starting")]
    assert history.to_run() == "a"


def test_ready_once_is_ready_for_good() -> None:
    history = ran("a").judged("a", BROKEN, 1000, 120)
    assert outcomes(history) == [("a", "Ready")]


def test_one_that_does_not_become_ready_in_time_gives_way() -> None:
    history = ran("a").take_up("b", NOW)
    assert history.to_run() == "b"
    assert history.judged("b", STARTING, 119, 120) == history
    assert history.judged("a", STARTING, 121, 120) == history, "the old pod is not the new content's doing"
    history = history.judged("b", STARTING, 121, 120)
    assert outcomes(history) == [("a", "Ready"), ("b", "RolledBack")]
    assert history.to_run() == "a"
    progress = history.progress(UP)
    assert (progress.on, progress.reason) == (False, "RolledBack")
    assert "not ready yet" in progress.message


def test_what_would_fail_again_gives_way_at_once() -> None:
    history = ran("a").take_up("b", NOW).judged("b", BROKEN, 1, 120)
    assert history.to_run() == "a"
    assert "invalid syntax" in history.progress(UP).message


def test_a_halt_is_no_failure_to_start() -> None:
    assert ran("a").take_up("b", NOW).judged("b", HALTED, 1, 120).entries[-1].outcome == "Ready"


def test_taken_back_stays_taken_back_until_suspended_or_changed() -> None:
    history = ran("a").take_up("b", NOW).judged("b", BROKEN, 1, 120)
    assert history.take_up("b", NOW) == history
    assert history.resumed().to_run() == "b"
    assert history.take_up("c", NOW).to_run() == "c"
    back = history.take_up("a", NOW)
    assert outcomes(back) == [("a", "Ready"), ("b", "RolledBack"), ("a", "Ready")]
    assert back.to_run() == "a"


def test_replaced_before_it_was_ready_has_failed() -> None:
    history = ran("a").take_up("b", NOW).take_up("c", NOW)
    assert outcomes(history) == [("a", "Ready"), ("b", "Failed"), ("c", "Starting")]


def test_ten_are_kept_and_with_them_the_one_to_go_back_to() -> None:
    history = ran("a")
    for number in range(30):
        history = history.take_up(f"b{number}", NOW)
    assert len(history.entries) == KEPT
    assert history.proven is not None
    assert history.proven.revision == "a"
    assert history.judged("b29", BROKEN, 1, 120).to_run() == "a"


def test_what_left_the_history_is_forgotten() -> None:
    before = ran(*(f"a{number}" for number in range(KEPT)))
    after = before.take_up("b", NOW)
    assert after.forgotten(before) == {"a0"}
    assert after.forgotten(after) == set()


def test_it_survives_the_status() -> None:
    history = ran("a").take_up("b", NOW).judged("b", BROKEN, 1, 120)
    entries = [entry.model_dump(by_alias=True, exclude_none=True) for entry in history.entries]
    assert History.of({"status": {"revisions": entries}}) == history
    assert History.of({}) == History()


def test_what_could_not_be_closed_stays_with_the_revision_that_took_it_over() -> None:
    history = ran("a").take_up("b", NOW).warned("no Job: quota")
    progress = history.progress(STARTING)
    assert (progress.on, progress.reason) == (True, "FlattenFailed")
    assert "no Job: quota" in progress.message
    ready = history.judged("b", UP, 0, 120)
    progress = ready.progress(UP)
    assert (progress.on, progress.reason) == (False, "FlattenFailed"), "it is not forgotten once all runs"
    assert ready.take_up("a", NOW).progress(UP).reason == "Starting", "the next one is another matter"
