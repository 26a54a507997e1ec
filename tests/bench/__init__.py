"""The benchmarks behind docs/benchmarks.md: ``make bench``, or ``python -m tests.bench --only NAME``."""
