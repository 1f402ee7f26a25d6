"""What a release is called, and the chart that goes with it; the workflow only calls this."""
