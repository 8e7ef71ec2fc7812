"""A container init that keeps self-daemonizing software running and stops all of it."""

__version__ = "0.1.0"
