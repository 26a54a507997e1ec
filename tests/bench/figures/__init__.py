"""One module a figure: ``measure(scene)`` returns its lines."""
