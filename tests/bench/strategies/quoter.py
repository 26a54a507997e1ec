"""Two averages and a volatility on every tick; two resting orders around the price, replaced now and then."""

import math

from sigma_bot import Ema, Strategy, param


class Quoter(Strategy):
    """Rest a bid and an offer a few deviations from the middle; lean with the trend; replace them every
    ``renew`` ticks."""

    fast: int = param(60, ge=1, le=10_000, description="length of the fast average, ticks")
    slow: int = param(600, ge=2, le=100_000, description="length of the slow average, ticks")
    decay: float = param(0.001, gt=0, lt=1, description="weight of the newest squared return")
    renew: int = param(3_000, ge=1, description="ticks between two replacements")
    width: float = param(20.0, gt=0, description="distance of the orders in deviations of one tick")
    size: float = param(1.0, gt=0, description="quantity of one order")
    limit: float = param(5.0, gt=0, description="largest position")
    fast_ema: Ema
    slow_ema: Ema
    previous: float
    variance: float
    waited: int

    def on_start(self):
        self.fast_ema.setup(self.fast)
        self.slow_ema.setup(self.slow)

    def on_tick(self, tick, broker):
        mid = tick.mid
        fast = self.fast_ema.update(mid)
        slow = self.slow_ema.update(mid)
        if self.previous > 0.0:
            r = math.log(mid / self.previous)
            self.variance += (r * r - self.variance) * self.decay
        self.previous = mid
        self.waited += 1
        if self.waited >= self.renew and self.slow_ema.ready:
            self.waited = 0
            broker.cancel_all()
            away = self.width * math.sqrt(self.variance) * mid
            lean = 0.5 * away if fast > slow else -0.5 * away
            if broker.position < self.limit:
                broker.buy(self.size, limit=mid - away + lean)
            if broker.position > -self.limit:
                broker.sell(self.size, limit=mid + away + lean)
