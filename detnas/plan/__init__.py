"""The jobs of a search, their requests, and which are due: pure functions."""
