"""Bithumb: its rules, its market data, the client of an account."""
