"""A real one-node Kubernetes in a network namespace of its own, for the end-to-end run."""
