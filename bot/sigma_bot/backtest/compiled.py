"""The engine compiled once, and the entry of each strategy linked to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from sigma_bot.engine import account, bars, matching, orders, step, venue
from sigma_bot.engine.broker import Broker
from sigma_bot.engine.loops import bar_loop, fund_loop, tick_loop
from sigma_bot.engine.types import Bar, Market, Tick
from sigma_bot.kernel.jit import Compiled, Linked, compile_engine, compile_entry
from sigma_bot.strategy import Strategy

# Functions called rarely: compiled once for all strategies. What runs on every row is compiled with each
# strategy, so that its callbacks are inlined.
ENGINE: dict[Callable[..., object], tuple[object, ...]] = {
    matching.match_tick: (None, Broker, Tick),
    bars.match_bar: (None, Broker, Bar),
    bars.match_close: (None, Broker, Bar),
    account.liquidate: (None, Broker, float),
    account.maintenance: (float, Broker),
    orders.submit: (int, Broker, int, int, int, int, float, float, float, int, int, int, int, int, int),
    orders.cancel: (int, Broker, int),
    orders.modify: (int, Broker, int, float, float, int),
    orders.link: (int, Broker, int, int),
    orders.find_slot: (int, Broker, int),
    step.take_sample: (None, Broker),
    step.check_margin: (None, Broker, Tick),
    step.close_bar: (None, Broker, int, int),
    venue.lots_of: (int, Market, float),
}
TICK_ARGUMENTS = ("i8[]", "i4[]", *["f8[]"] * 8, "int", "int")
BAR_ARGUMENTS = ("i8[]", "i8[]", "i4[]", *["f8[]"] * 5, "int", "int")


@cache
def engine() -> Linked:
    """The compiled engine, from the cache when it holds it."""
    return compile_engine(ENGINE)


def funding_entry() -> Compiled:
    """The compiled funding payment: ``call(broker, symbol, rate, ts, inside)``."""
    return compile_entry(fund_loop, (Broker,), ("int", "float", "int", "int"), engine())


def entry_for(strategy: type[Strategy], kind: str) -> Compiled:
    """The compiled loop of a strategy over ticks or bars. Raises CannotCompileError with every reason."""
    if kind == "tick":
        return compile_entry(tick_loop, (Broker, Tick, strategy), TICK_ARGUMENTS, engine())
    return compile_entry(bar_loop, (Broker, Bar, strategy), BAR_ARGUMENTS, engine())
