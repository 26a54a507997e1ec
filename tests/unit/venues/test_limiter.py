"""The limiter's arithmetic, on a clock of our own."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.venues.limiter import LocalLimiter, Window, ban_ms
from sigma_bot.venues.registry import VENUES
from sigma_bot.venues.types import TransientError
from sigma_bot.venues.venue import Bucket

steps = st.lists(
    st.tuples(st.integers(0, 700), st.integers(1, 40), st.booleans()), min_size=1, max_size=120
)  # ms since the last, cost, urgent


@given(steps, st.integers(0, 10**13))
@settings(max_examples=150)
def test_no_span_of_the_window_ever_holds_more_than_the_limit(
    requests: list[tuple[int, int, bool]], now: int
) -> None:
    bucket = Bucket("orders", 100, 10_000, "key")
    window = Window(bucket)
    taken: list[tuple[int, int]] = []
    for pause, cost, urgent in requests:
        now += pause
        if window.wait(now, cost, bucket.allowed(urgent)) == 0:
            window.add(now, cost)
            taken.append((now, cost))
    for end, _ in taken:
        assert sum(cost for at, cost in taken if end - bucket.window_ms < at <= end) <= bucket.limit


@given(steps, st.integers(1, 100))
@settings(max_examples=150)
def test_a_request_fits_exactly_when_the_wait_is_over(
    requests: list[tuple[int, int, bool]], cost: int
) -> None:
    bucket = Bucket("orders", 100, 10_000, "key")
    window, now = Window(bucket), 1_000_000
    for pause, units, _ in requests:
        now += pause
        if window.wait(now, units, bucket.limit) == 0:
            window.add(now, units)
    wait = window.wait(now, cost, bucket.limit)
    assert 0 <= wait <= bucket.window_ms + bucket.slot_ms
    if wait:
        assert window.wait(now + wait - 1, cost, bucket.limit) > 0
    assert window.wait(now + wait, cost, bucket.limit) == 0


def test_more_than_the_bucket_holds_never_fits() -> None:
    assert Window(Bucket("b", 10, 1000, "key")).wait(0, 11, 10) == -1


def test_cancels_keep_a_reserve() -> None:
    limiter = LocalLimiter("upbit")
    allowed = dict.fromkeys((False, True), 0)
    for urgent in (False, True):
        while limiter.step(0, {"default": 1}, urgent) == 0:
            allowed[urgent] += 1
    assert allowed == {False: 21, True: 6}  # of 27: nothing new is sent, and six cancels still are


def test_a_request_takes_of_all_its_buckets_or_of_none() -> None:
    limiter = LocalLimiter("binance")
    for _ in range(72):
        assert limiter.step(0, {"weight": 1, "orders": 1}, False) == 0
    assert limiter.step(0, {"weight": 1, "orders": 1}, False) > 0
    assert limiter._windows["weight"].used(0) == 72


async def test_the_venues_own_count_is_believed_when_it_is_higher() -> None:
    limiter = LocalLimiter("binance")
    await limiter.told(200, {"x-mbx-used-weight-1m": "5390", "X-MBX-ORDER-COUNT-10S": "3"})
    now = time.monotonic_ns() // 1_000_000
    assert limiter.step(now, {"weight": 20}, True) > 0
    assert limiter.step(now, {"weight": 10}, True) == 0


async def test_a_ban_holds_everything_back() -> None:
    limiter = LocalLimiter("binance")
    await limiter.told(418, {"Retry-After": "300"})
    with pytest.raises(TransientError) as held:
        await limiter.acquire({"weight": 1}, urgent=True)
    assert 295 < held.value.after <= 300


async def test_a_deadline_is_not_waited_past() -> None:
    limiter = LocalLimiter("upbit")
    now = time.monotonic_ns() // 1_000_000
    while limiter.step(now, {"order": 1}, False) == 0:
        continue
    with pytest.raises(TransientError) as held:
        await limiter.acquire({"order": 1}, deadline_ns=time.monotonic_ns() + 1_000_000)
    assert held.value.code == "rate-limit"


@pytest.mark.parametrize(
    ("venue", "headers", "used"),
    [
        (
            "binance",
            {"X-MBX-USED-WEIGHT-1M": "120", "x-mbx-order-count-10s": "7"},
            {"weight": 120, "orders": 7},
        ),
        ("binance", {"X-MBX-USED-WEIGHT-1M": "-5"}, {}),
        ("binance", {"X-MBX-USED-WEIGHT-1M": "9" * 40}, {}),
        ("upbit", {"Remaining-Req": "group=default; min=1800; sec=20"}, {"default": 7}),
        ("upbit", {"remaining-req": "group=order; min=1800; sec=0"}, {"order": 10}),
        ("upbit", {"Remaining-Req": "group=candle; min=600; sec=9"}, {"public": 0}),
        ("upbit", {"Remaining-Req": "nonsense"}, {}),
        ("upbit", {"Remaining-Req": "group=order; sec=²"}, {}),
    ],
)
def test_the_headers_of_a_venue(venue: str, headers: dict[str, str], used: dict[str, int]) -> None:
    assert VENUES[venue].usage(headers) == used


@pytest.mark.parametrize(
    ("status", "headers", "ms"),
    [
        (200, {"Retry-After": "5"}, 0),
        (429, {"Retry-After": "5"}, 5000),
        (429, {}, 1000),
        (418, {"retry-after": "120"}, 120_000),
        (418, {"Retry-After": "soon"}, 120_000),
    ],
)
def test_how_long_a_ban_lasts(status: int, headers: dict[str, str], ms: int) -> None:
    assert ban_ms(status, headers) == ms


def test_every_bucket_is_cut_into_whole_slots() -> None:
    for venue in VENUES.values():
        for bucket in venue.buckets:
            assert bucket.slot_ms * 20 == bucket.window_ms
