"""One source, two executions: flat structs interpreted by CPython or compiled by Numba with equal results."""
