"""The process: watches and lists, the workers' passes, health, and pool leases."""
