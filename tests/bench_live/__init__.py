"""`make bench-live`: what a tick costs on its way to the venue, with many bots on one machine."""
