"""A database: its address, its errors, a session with it. Knows no table."""
