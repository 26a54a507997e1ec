"""Binance over its wire protocol."""
