"""Passes over searches: observe, decide, apply, publish."""
