"""One row of the market: match → mark → bars → strategy → accept. The same code in every mode."""

from __future__ import annotations

from sigma_bot.engine.account import choose_lot, liquidate_at, maintenance, mark_to_market, survives
from sigma_bot.engine.bars import liquidate_at_extreme, match_bar, match_close
from sigma_bot.engine.matching import adverse_price, match_tick
from sigma_bot.engine.types import BUDGET, E_FILL
from sigma_bot.engine.venue import position_value


def close_bar(broker, symbol, index):
    """Copy the finished bar into ``b.bar`` for the strategy."""
    built = broker.markets[symbol].bars[index]
    bar = broker.bar
    bar.ts = built.ts
    bar.end = built.end
    bar.timeframe = broker.timeframes[index]
    bar.symbol = symbol
    bar.open = built.open
    bar.high = built.high
    bar.low = built.low
    bar.close = built.close
    bar.volume = built.volume
    bar.count = built.count
    built.count = 0


def open_bar(bar, start, width, price):
    """Begin the bar that holds ``start``."""
    bar.ts = start - start % width
    bar.end = bar.ts + width
    bar.open = price
    bar.high = price
    bar.low = price
    bar.close = price
    bar.volume = 0.0
    bar.count = 0


def first_price(broker, market, price):
    """The symbol's first row: what the benchmark starts from, and what a lot that nobody gave goes by."""
    market.first_price = price
    if broker.own_lot[broker.symbol] != 0 and price > 0.0:
        choose_lot(broker, market)


def record_equity(broker, equity):
    """Book the equity of this row: peak and deepest fall from it."""
    broker.equity = equity
    if equity > broker.peak:
        broker.peak = equity
    elif broker.peak - equity > broker.max_drawdown:
        broker.max_drawdown = broker.peak - equity


def take_sample(broker):
    """Keep a point of the equity curve: the state after the row before the one that crossed the interval."""
    point = broker.samples[broker.n_samples]
    broker.n_samples += 1
    point.ts = broker.ts
    point.equity = broker.equity
    gross = 0.0
    benchmark = 0.0
    for i in range(broker.n_markets):
        market = broker.markets[i]
        gross += abs(market.qty) * market.mid
        benchmark += market.mid / market.first_price if market.first_price > 0.0 else 1.0
        point.marks[i] = market.mid
    point.gross = gross
    point.benchmark = benchmark / broker.n_markets


def after_tick(broker, tick, strategy):
    """After the strategy: fill what it sent without latency, tell it every fill, also those that this
    causes."""
    if broker.needs_matching != 0:
        match_tick(broker, tick)
    while broker.delivered < broker.n_events:
        event = broker.events[broker.delivered]
        broker.delivered += 1
        if event.kind == E_FILL:
            strategy.on_fill(event, broker)
            if broker.needs_matching != 0:
                match_tick(broker, tick)


def after_bar(broker, bar, strategy):
    """After the strategy: with ``fill_at_close`` fill its market orders; tell it every fill."""
    if broker.needs_matching != 0 and broker.fill_at_close != 0:
        match_close(broker, bar)
    while broker.delivered < broker.n_events:
        event = broker.events[broker.delivered]
        broker.delivered += 1
        if event.kind == E_FILL:
            strategy.on_fill(event, broker)
            if broker.needs_matching != 0 and broker.fill_at_close != 0:
                match_close(broker, bar)


def step_tick(broker, tick, strategy):
    """One tick. Ticks are stamped at the end of their interval, so a tick at a bar's end still belongs to
    that bar."""
    broker.event_budget = broker.n_events + BUDGET
    broker.ts = tick.ts
    broker.symbol = tick.symbol
    market = broker.markets[tick.symbol]
    market.ts = tick.ts
    market.bid = tick.bid
    market.ask = tick.ask
    mid = (tick.bid + tick.ask) * 0.5
    market.mid = mid
    if market.first_price == 0.0:
        first_price(broker, market, mid)
    if (
        tick.ts >= broker.next_wake
        or tick.ask <= market.wake_below
        or tick.low <= market.wake_below
        or tick.bid >= market.wake_above
        or tick.high >= market.wake_above
    ):
        match_tick(broker, tick)
    if broker.n_markets == 1:
        equity = broker.cash
        if market.lots != 0:
            equity = (broker.cash_quanta + position_value(market, mid)) / broker.scale
    else:
        equity = mark_to_market(broker)
    if market.lots > 0:
        if mid > market.best:
            market.best = mid
        elif mid < market.worst:
            market.worst = mid
    elif market.lots < 0:
        if mid < market.best:
            market.best = mid
        elif mid > market.worst:
            market.worst = mid
    broker.equity = equity
    if equity > broker.peak or broker.peak - equity > broker.max_drawdown:
        record_equity(broker, equity)
    if broker.leveraged != 0 and (market.lots != 0 or broker.n_markets > 1):
        exposure = abs(market.qty)
        need = exposure * mid * market.maintenance if broker.n_markets == 1 else maintenance(broker)
        # twice the way to the worst trade bounds what equity loses and what the margin may grow by
        if equity - 2.0 * exposure * max(mid - tick.low, tick.high - mid) < need:
            check_margin(broker, tick)
    if broker.n_timeframes != 0:
        for index in range(broker.n_timeframes):
            add_tick_to_bar(broker, market.bars[index], tick, strategy, index)
    strategy.on_tick(tick, broker)
    if broker.needs_matching != 0 or broker.delivered != broker.n_events:
        after_tick(broker, tick, strategy)
    market.last = tick.last


def check_margin(broker, tick):
    """Liquidate when the tick's worst price is more than the account can bear. In LIVE the venue does."""
    market = broker.markets[tick.symbol]
    price = adverse_price(broker, market, tick) if market.lots != 0 else market.mid
    if broker.external == 0 and holds_any(broker) and not survives(broker, market, price):
        liquidate_at(broker, market, price)
        record_equity(broker, mark_to_market(broker))


def holds_any(broker):
    """Whether there is a position."""
    held = 0
    for i in range(broker.n_markets):
        held += abs(broker.markets[i].lots)
    return held > 0


def add_tick_to_bar(broker, built, tick, strategy, index):
    """Grow the bar of a timeframe by a tick; deliver it when it is complete."""
    if tick.ts > built.end:
        if built.count > 0:
            close_bar(broker, tick.symbol, index)
            strategy.on_bar(broker.bar, broker)
        open_bar(built, tick.ts - 1, broker.timeframes[index], tick.last)
    if tick.high > built.high:
        built.high = tick.high
    if tick.low < built.low:
        built.low = tick.low
    built.close = tick.last
    built.volume += tick.volume
    built.count += 1
    if tick.ts == built.end:
        close_bar(broker, tick.symbol, index)
        strategy.on_bar(broker.bar, broker)


def step_bar(broker, bar, strategy):
    """One bar of the data, at its close."""
    # read once: CPython looks an attribute up each time, and compiled code would read memory again
    end = bar.end
    close = bar.close
    symbol = bar.symbol
    broker.event_budget = broker.n_events + BUDGET
    broker.ts = end
    broker.symbol = symbol
    market = broker.markets[symbol]
    if market.first_price == 0.0:
        first_price(broker, market, bar.open)
    if end > broker.next_wake or bar.low <= market.wake_below or bar.high >= market.wake_above:
        match_bar(broker, bar)
    market.ts = end
    market.bid = close
    market.ask = close
    market.mid = close
    if market.lots != 0:
        watermarks(broker, market, bar)
    if broker.n_markets == 1:
        equity = broker.cash
        if market.lots != 0:
            equity = (broker.cash_quanta + position_value(market, close)) / broker.scale
    else:
        equity = mark_to_market(broker)
    broker.equity = equity
    if equity > broker.peak or broker.peak - equity > broker.max_drawdown:
        record_equity(broker, equity)
    if broker.own_bars != 0:
        strategy.on_bar(bar, broker)
    if broker.n_timeframes != 0:
        for index in range(broker.n_timeframes):
            add_bar_to_bar(broker, bar, strategy, index)
    if broker.needs_matching != 0 or broker.delivered != broker.n_events:
        after_bar(broker, bar, strategy)


def watermarks(broker, market, bar):
    """Best and worst marks of the open position; on margin the adverse extreme decides about liquidation."""
    high = bar.high
    low = bar.low
    if market.lots > 0:
        if high > market.best:
            market.best = high
        if low < market.worst:
            market.worst = low
    else:
        if low < market.best:
            market.best = low
        if high > market.worst:
            market.worst = high
    if broker.leveraged != 0:
        liquidate_at_extreme(broker, market, bar)


def add_bar_to_bar(broker, bar, strategy, index):
    """Grow the bar of a longer timeframe by a bar of the data; deliver it when it is complete."""
    built = broker.markets[bar.symbol].bars[index]
    if bar.ts >= built.end:
        if built.count > 0:
            # its last piece is missing in the data
            close_bar(broker, bar.symbol, index)
            strategy.on_bar(broker.bar, broker)
        open_bar(built, bar.ts, broker.timeframes[index], bar.open)
    built.high = max(built.high, bar.high)
    built.low = min(built.low, bar.low)
    built.close = bar.close
    built.volume += bar.volume
    built.count += 1
    if bar.end >= built.end:
        close_bar(broker, bar.symbol, index)
        strategy.on_bar(broker.bar, broker)
