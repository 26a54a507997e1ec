"""Running a strategy over history: the tester, its result, sweeps and honesty checks."""
