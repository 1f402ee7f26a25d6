"""What is read beside the reconcile passes: pods, events, Workloads, progress and logs."""
