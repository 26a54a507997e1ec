"""Metrics: every method moves what it should, labels stay few, and the document lists every name."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from sigma_bot.health.metrics import LATENCY, MOST_VALUES, BotMetrics, FeedMetrics
from sigma_bot.model.orders import State

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"


def value(metrics: BotMetrics | FeedMetrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(name, labels)
    assert found is not None, f"{name} {labels} is not exported"
    return found


def everything_happened() -> BotMetrics:
    """A bot to which each thing happened once."""
    metrics = BotMetrics({"strategy": "ema-cross", "mode": "sim"})
    metrics.follow(lambda: 0.5)
    metrics.batch(3, 0.002)
    metrics.step(0.0002)
    metrics.gap(7)
    metrics.sent(0.004)
    metrics.commit(0.001)
    metrics.order(State.FILLED)
    metrics.fill()
    metrics.rejection("price collar")
    metrics.venue_error("unknown")
    metrics.reconciled(2)
    metrics.lease(True, 41)
    metrics.ready(True)
    metrics.halted("command")
    metrics.alert("needs-review")
    metrics.equity(Decimal("10000000.5"), "KRW")
    metrics.position("KRW-BTC", Decimal("-0.25"))
    metrics.open_orders(4)
    metrics.clock_offset(-0.012)
    metrics.lag(0.003)
    metrics.malformed("upbit")
    return metrics


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("sigma_bot_info", {"strategy": "ema-cross", "mode": "sim"}, 1),
        ("sigma_ticks_total", {}, 3),
        ("sigma_tick_age_seconds_sum", {}, 0.002),
        ("sigma_step_seconds_sum", {}, 0.0002),
        ("sigma_tick_gaps_total", {}, 1),
        ("sigma_tick_batches_missed_total", {}, 7),
        ("sigma_tick_to_order_seconds_sum", {}, 0.004),
        ("sigma_journal_commit_seconds_count", {}, 1),
        ("sigma_orders_total", {"state": "filled"}, 1),
        ("sigma_orders_total", {"state": "needs_review"}, 0),
        ("sigma_fills_total", {}, 1),
        ("sigma_rejections_total", {"reason": "price collar"}, 1),
        ("sigma_venue_errors_total", {"kind": "unknown"}, 1),
        ("sigma_reconciles_total", {}, 1),
        ("sigma_reconcile_differences_total", {}, 2),
        ("sigma_lease_held", {}, 1),
        ("sigma_lease_token", {}, 41),
        ("sigma_ready", {}, 1),
        ("sigma_halted", {}, 1),
        ("sigma_halts_total", {"cause": "command"}, 1),
        ("sigma_alerts_total", {"code": "needs-review"}, 1),
        ("sigma_equity", {"currency": "KRW"}, 10000000.5),
        ("sigma_position_quantity", {"symbol": "KRW-BTC"}, -0.25),
        ("sigma_open_orders", {}, 4),
        ("sigma_venue_clock_offset_seconds", {}, -0.012),
        ("sigma_decision_loop_age_seconds", {}, 0.5),
        ("sigma_event_loop_lag_seconds_sum", {}, 0.003),
        ("sigma_malformed_messages_total", {"source": "upbit"}, 1),
    ],
)
def test_each_thing_that_happens_moves_its_metric(name: str, labels: dict[str, str], expected: float) -> None:
    assert value(everything_happened(), name, **labels) == expected


def test_ages_run_and_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("sigma_bot.health.metrics.time.monotonic", lambda: now[0])
    metrics = BotMetrics({})
    now[0] = 103.0
    assert value(metrics, "sigma_tick_staleness_seconds") == 3
    metrics.batch(0, 0.001)
    assert value(metrics, "sigma_tick_staleness_seconds") == 0
    assert value(metrics, "sigma_reconcile_age_seconds") == 3
    metrics.reconciled(0)
    assert value(metrics, "sigma_reconcile_age_seconds") == 0


def test_resuming_and_losing_the_lease_are_seen() -> None:
    metrics = everything_happened()
    metrics.resumed()
    metrics.lease(False, 41)
    metrics.ready(False)
    for name in ("sigma_halted", "sigma_lease_held", "sigma_ready"):
        assert value(metrics, name) == 0


def test_labels_stay_few_whatever_comes() -> None:
    metrics = BotMetrics({})
    for number in range(1000):
        metrics.rejection(f"reason {number}")
    metrics.rejection("reason 3")
    assert value(metrics, "sigma_rejections_total", reason="other") == 1000 - MOST_VALUES
    assert value(metrics, "sigma_rejections_total", reason="reason 3") == 2
    assert metrics.text().count(b"sigma_rejections_total{") == MOST_VALUES + 1


def test_the_buckets_resolve_the_budgets() -> None:
    assert {0.005, 0.02, 0.05, 0.25, 0.6} <= set(LATENCY)
    assert list(LATENCY) == sorted(LATENCY)


def test_two_bots_in_one_process_count_apart() -> None:
    one, two = BotMetrics({}), BotMetrics({})
    one.fill()
    assert value(one, "sigma_fills_total") == 1
    assert value(two, "sigma_fills_total") == 0


def test_a_feed_counts() -> None:
    metrics = FeedMetrics({"venue": "upbit"})
    metrics.message("book", 0.03)
    metrics.message("trade")
    metrics.batch(12, 0.0004)
    metrics.gap("KRW-BTC")
    metrics.reconnect("cut")
    metrics.recorded(12)
    metrics.clock_offset(0.2)
    assert value(metrics, "sigma_feed_messages_total", kind="book") == 1
    assert value(metrics, "sigma_feed_exchange_delay_seconds_count") == 1
    assert value(metrics, "sigma_feed_ticks_total") == 12
    assert value(metrics, "sigma_feed_batches_total") == 1
    assert value(metrics, "sigma_feed_gaps_total", symbol="KRW-BTC") == 1
    assert value(metrics, "sigma_feed_reconnects_total", reason="cut") == 1
    assert value(metrics, "sigma_feed_recorded_ticks_total") == 12
    assert value(metrics, "sigma_venue_clock_offset_seconds") == 0.2


def test_a_symbol_that_was_dropped_is_told_no_longer() -> None:
    metrics = FeedMetrics({})
    metrics.subscribed({"KRW-BTC": lambda: 0.1, "KRW-ETH": lambda: 9.0})
    metrics.subscribed({"KRW-ETH": lambda: 9.5})
    assert value(metrics, "sigma_feed_symbols") == 1
    assert value(metrics, "sigma_feed_staleness_seconds", symbol="KRW-ETH") == 9.5
    assert b"KRW-BTC" not in metrics.text()


@pytest.mark.parametrize("metrics", [BotMetrics({}), FeedMetrics({})], ids=["bot", "feed"])
def test_the_text_is_what_prometheus_reads(metrics: BotMetrics | FeedMetrics) -> None:
    text = metrics.text().decode()
    assert "process_resident_memory_bytes" in text
    assert "_created" not in text
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z_]+(\{[^}]*\})? \S+", line), line


@pytest.mark.parametrize(("heading", "metrics"), [("Bot", BotMetrics({})), ("Feed", FeedMetrics({}))])
def test_the_document_lists_exactly_the_exported_names(
    heading: str, metrics: BotMetrics | FeedMetrics
) -> None:
    chapter = DOCUMENT.read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(sigma_\w+)", chapter, re.M)
    assert sorted(listed) == metrics.names()
