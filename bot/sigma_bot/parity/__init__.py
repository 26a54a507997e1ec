"""Whether SIM and LIVE decided what a backtest of the same ticks decides."""
