"""Figures of a result: returns, ratios, drawdowns, trades."""
