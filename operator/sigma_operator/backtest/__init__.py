"""Backtests: the resource as a Job, the Job as its status."""
