"""detnas decides: what to train next, from which parent, by which action; and says so to people."""

__version__ = "0.1.0"
