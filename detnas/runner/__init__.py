"""Runs a search on one machine: jobs as child processes, the store as the only memory."""
