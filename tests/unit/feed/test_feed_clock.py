"""The feed's clock against a wall clock that steps."""

from __future__ import annotations

from sigma_bot.feed.clock import Clock

SECOND = 1_000_000_000


class World:
    def __init__(self) -> None:
        self.steady, self.step = 50 * SECOND, 1_700_000_000 * SECOND

    def clock(self) -> Clock:
        return Clock(lambda: self.steady + self.step, lambda: self.steady)


def test_it_follows_the_wall() -> None:
    world = World()
    clock = world.clock()
    assert clock() == world.steady + world.step
    world.steady += 7
    assert clock() == world.steady + world.step


def test_a_step_back_is_worked_off_without_going_back() -> None:
    world = World()
    clock = world.clock()
    before = clock()
    world.step -= SECOND // 2
    missing = SECOND
    while missing:
        world.steady += SECOND
        missing = clock.correct()
        now = clock()
        assert now >= before
        before = now
    world.steady += SECOND
    assert clock() == world.steady + world.step


def test_a_small_step_ahead_is_worked_off_and_a_large_one_taken() -> None:
    world = World()
    clock = world.clock()
    world.step += SECOND // 10
    world.steady += SECOND
    assert clock.correct() < 0.1 * SECOND
    world.step += 3600 * SECOND
    world.steady += SECOND
    assert clock.correct() == 0
    assert clock() == world.steady + world.step
