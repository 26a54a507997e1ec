"""What containers run beside bots and feeds: a Backtest's pod, migrations, the self-test, reloading."""
