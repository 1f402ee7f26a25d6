"""What the operator tells its administrators: metrics and log lines."""
