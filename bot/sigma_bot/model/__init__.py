"""The words that rooms share: orders, ids, units, ticks, messages."""
