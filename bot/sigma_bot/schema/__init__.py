"""Every room's tables together: migrations, and who may do what."""
