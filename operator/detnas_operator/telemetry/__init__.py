"""Metrics and log lines of the operator, for its administrators."""
