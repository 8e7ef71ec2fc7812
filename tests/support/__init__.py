"""Helpers of the tests: programs, runs of pyinit, and witnesses that do not ask pyinit."""
