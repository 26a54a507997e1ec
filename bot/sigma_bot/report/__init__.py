"""PerformanceReporter: from a backtest's result to figures, a terminal table, JSON and a report that opens
offline."""
