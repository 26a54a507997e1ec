"""The Backtest resource: its Job, and the Job's state as its status."""
