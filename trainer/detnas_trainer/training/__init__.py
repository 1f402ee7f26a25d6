"""Training as a pure function of its request: stopped and resumed, it is the same run."""
