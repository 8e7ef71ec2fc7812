"""Decides: a pure state machine from events to actions; no system call, no clock, nothing of the shell."""
