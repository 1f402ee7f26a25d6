"""What is read beside the passes: pods, events, Workloads, and the progress of running jobs."""
