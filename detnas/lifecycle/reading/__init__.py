"""Reads the state of a search from the store, and verifies new results."""
