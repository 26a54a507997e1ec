"""A mutation run: one small change of the code after the other, and whether a test fails on it."""
