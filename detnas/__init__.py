"""detnas decides what to train next, from which parent and by which action, and reports on it."""

__version__ = "0.1.0"
