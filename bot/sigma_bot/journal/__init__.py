"""What a bot has done and means to do, stored before anything leaves the process (SQLite or PostgreSQL)."""
