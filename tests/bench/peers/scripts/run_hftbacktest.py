"""Ticks as level-2 events in hftbacktest: market orders by the clock, or resting orders around the price.

Arguments: folder, job. A tick becomes up to four changes of the book (levels that are left, levels that are
new or resized) and a trade where something was traded.
"""

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    MARKET,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit

STEP = 100_000_000
folder, job = Path(sys.argv[1]), json.loads(sys.argv[2])
columns = np.load(folder / "in.npz")


def events():
    """The book's changes and the trades in order of time."""
    bid, ask, ts = columns["bid"], columns["ask"], columns["ts"]
    both = EXCH_EVENT | LOCAL_EVENT
    gone_bid, gone_ask = np.append(False, bid[1:] != bid[:-1]), np.append(False, ask[1:] != ask[:-1])
    traded = columns["volume"] > 0
    old_bid, old_ask = np.append(0.0, bid[:-1]), np.append(0.0, ask[:-1])
    everywhere = np.ones(len(ts), bool)
    none = np.zeros(len(ts))
    seller = BUY_EVENT * (columns["last"] >= ask) + SELL_EVENT * (columns["last"] < ask)
    parts = [
        (gone_bid, DEPTH_EVENT | BUY_EVENT, old_bid, none),
        (gone_ask, DEPTH_EVENT | SELL_EVENT, old_ask, none),
        (everywhere, DEPTH_EVENT | BUY_EVENT, bid, columns["bid_size"]),
        (everywhere, DEPTH_EVENT | SELL_EVENT, ask, columns["ask_size"]),
        (traded, TRADE_EVENT + seller, columns["last"], columns["volume"]),
    ]
    out = np.zeros(sum(int(mask.sum()) for mask, *_ in parts), event_dtype)
    order = np.argsort(np.concatenate([np.flatnonzero(mask) * 5 + i for i, (mask, *_) in enumerate(parts)]))
    fields = {"ev": [], "px": [], "qty": [], "exch_ts": []}
    for mask, kind, price, size in parts:
        fields["ev"].append(np.broadcast_to(np.asarray(kind | both, np.uint64), len(ts))[mask])
        fields["px"].append(price[mask])
        fields["qty"].append(size[mask])
        fields["exch_ts"].append(ts[mask])
    for name, found in fields.items():
        out[name] = np.concatenate(found)[order]
    # the engine stops with its last event, before the strategy is asked: one more comes a second later
    out = np.append(out, out[-1:])
    out["exch_ts"][-1] += 1_000_000_000
    out["local_ts"] = out["exch_ts"]
    return out


def engine(data, latency):
    """A fresh engine on the events."""
    asset = (
        BacktestAsset()
        .data([data])
        .linear_asset(1.0)
        .constant_order_latency(latency, latency)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0002, 0.0005)
        .tick_size(0.01)
        .lot_size(0.001)
        .roi_lb(0.0)
        .roi_ub(20_000.0)
        .last_trades_capacity(0)
    )
    return ROIVectorMarketDepthBacktest([asset])


@njit
def flip(hbt, every, size, times, prices):
    """A market order at every full ``every`` nanoseconds; how many."""
    n = 0
    while hbt.elapse(STEP) == 0:
        now = hbt.current_timestamp
        if now % every == 0:
            depth = hbt.depth(0)
            oid = n + 1
            if hbt.position(0) > 0.0:
                hbt.submit_sell_order(0, oid, depth.best_bid, size, GTC, MARKET, True)
            else:
                hbt.submit_buy_order(0, oid, depth.best_ask, size, GTC, MARKET, True)
            times[n] = now
            prices[n] = hbt.orders(0).get(oid).exec_price_tick
            hbt.clear_inactive_orders(0)
            n += 1
    return n


@njit
def quote(hbt, fast, slow, decay, renew, width, size, limit):
    """The arithmetic and the orders of our quoting strategy; ticks seen."""
    fast_alpha, slow_alpha = 2.0 / (fast + 1), 2.0 / (slow + 1)
    quick = slowly = variance = previous = 0.0
    seen = waited = 0
    oid = np.uint64(1)
    while hbt.elapse(STEP) == 0:
        depth = hbt.depth(0)
        mid = (depth.best_bid + depth.best_ask) * 0.5
        quick += (mid - quick) * (fast_alpha if seen >= fast else 1.0 / (seen + 1))
        slowly += (mid - slowly) * (slow_alpha if seen >= slow else 1.0 / (seen + 1))
        if previous > 0.0:
            r = math.log(mid / previous)
            variance += (r * r - variance) * decay
        previous = mid
        seen += 1
        waited += 1
        if waited >= renew:
            waited = 0
            orders = hbt.orders(0).values()
            while orders.has_next():
                order = orders.get()
                if order.cancellable:
                    hbt.cancel(0, order.order_id, False)
            hbt.clear_inactive_orders(0)
            away = width * math.sqrt(variance) * mid
            lean = 0.5 * away if quick > slowly else -0.5 * away
            if hbt.position(0) < limit:
                price = round((mid - away + lean) / 0.01) * 0.01
                hbt.submit_buy_order(0, oid, price, size, GTC, LIMIT, False)
                oid += np.uint64(1)
            if hbt.position(0) > -limit:
                price = round((mid + away + lean) / 0.01) * 0.01
                hbt.submit_sell_order(0, oid, price, size, GTC, LIMIT, False)
                oid += np.uint64(1)
    return seen


data = events()
seconds = []
if job["repeats"]:
    numbers = (60, 600, 0.001, 3_000, 20.0, 1.0, 5.0)
    first = engine(data[:1000], 50_000_000)
    quote(first, *numbers)  # compiles
    first.close()
    for _ in range(job["repeats"]):
        hbt = engine(data, 50_000_000)
        started = time.thread_time()
        quote(hbt, *numbers)
        seconds.append(time.thread_time() - started)
        hbt.close()
else:
    hbt = engine(data, 0)
    room = len(columns["ts"])
    times, prices = np.zeros(room, np.int64), np.zeros(room, np.int64)
    n = flip(hbt, job["every"], 0.001, times, prices)
    hbt.close()
    np.savez(folder / "out.npz", ts=times[:n], price=prices[:n] / 100.0)
print(json.dumps(seconds))
