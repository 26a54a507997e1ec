"""Messages between processes: Redis Pub/Sub, or in-process for the embedded default."""
