"""Measures pyinit beside the C inits and the supervisors: `make bench`."""
