"""Strategies: the resource as a bot that never runs twice, the bot as its status."""
