"""When a key is due: one pass at a time for each, several concurrently, with fairness."""
