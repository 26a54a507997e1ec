"""How a process says how it is: metrics, probes, logs, and a watchdog over the decision loop."""
