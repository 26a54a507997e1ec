"""The Strategy resource: its StatefulSet with one bot, and the bot's state as its status."""
