"""An exchange of one's own: recorded ticks behind the venue's wire protocol, with accounts and faults."""
