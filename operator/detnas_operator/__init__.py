"""The operator: watches searches, reconciles them, runs their jobs as Kubernetes Jobs."""
