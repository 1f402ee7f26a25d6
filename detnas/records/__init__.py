"""Everything that lies in the store: requests, results, progress, artifacts, keys."""
