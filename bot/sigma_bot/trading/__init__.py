"""SIM and LIVE: the TradingBot, its order path and its executors."""
