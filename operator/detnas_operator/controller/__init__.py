"""The process: watches and lists, the work queue's reconciles, health, and pool leases."""
