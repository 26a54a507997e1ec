"""The soak: everything as real processes, faults at random, and what must hold afterwards."""
