"""Follow the trend: hold the stock while its fast average is above the slow one."""

from sigma_bot import Ema, Strategy, param


class EmaCross(Strategy):
    """Long while the fast EMA of the price is above the slow EMA, in cash otherwise."""

    fast: int = param(12, ge=1, le=200, description="length of the fast average")
    slow: int = param(26, ge=2, le=400, description="length of the slow average")
    size: float = param(0.95, gt=0, le=1, description="fraction of the equity to invest")
    fast_ema: Ema
    slow_ema: Ema

    def on_start(self):
        self.fast_ema.setup(self.fast)
        self.slow_ema.setup(self.slow)

    def on_bar(self, bar, broker):
        fast = self.fast_ema.update(bar.close)
        slow = self.slow_ema.update(bar.close)
        if not self.slow_ema.ready:
            return
        if fast > slow and broker.position == 0:
            broker.target_fraction(self.size)
        elif fast < slow and broker.position > 0:
            broker.close()
