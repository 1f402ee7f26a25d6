"""One search's Jobs in the cluster: read, created, deleted, measured, and their logs stored."""
