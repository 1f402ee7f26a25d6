"""Everything that is stored: requests, results, progress, artifacts, keys."""
