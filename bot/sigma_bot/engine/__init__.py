"""The market's rules: matching, accounts and risk, in the subset that CPython and Numba both run.

BACKTEST compiles these functions, SIM interprets them; there is no second copy. Orders, fills and equity
come out bit-identical either way.
"""
