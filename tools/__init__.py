"""What `dev.py` does: makes the environment, runs the example and the checks."""
