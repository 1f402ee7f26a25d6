"""Warm start: the base and the trials that a search inherits from another."""
