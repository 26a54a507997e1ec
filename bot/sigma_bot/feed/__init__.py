"""Market data: an exchange's WebSocket in, ticks on the bus and in files out."""
