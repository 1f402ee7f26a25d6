"""The data set: what is checked before anything runs, and what every iteration draws."""
