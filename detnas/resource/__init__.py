"""The custom resource DetNASSearch: its definition for a cluster, and the status in it."""
