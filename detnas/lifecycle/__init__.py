"""The state of a search and what comes next: shared by all schedulers."""
