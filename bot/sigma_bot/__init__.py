"""SIGMA-X: the trading engine. `from sigma_bot import Strategy, param, Ema` is all a strategy file needs."""

from __future__ import annotations

__version__ = "0.1.0"
