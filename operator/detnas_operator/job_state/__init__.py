"""The state of a Job, and why it waits or failed, from Jobs, pods, events and Workloads."""
