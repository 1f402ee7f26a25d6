"""Checks of a machine before a search runs on it: facts are gathered, then judged."""
