"""Which search is looked at when: one pass at a time for each, several in parallel."""
