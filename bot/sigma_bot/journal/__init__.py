"""What a bot has done and means to do, in SQLite or PostgreSQL, written before anything leaves the process."""
