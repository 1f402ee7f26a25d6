"""Time, GPU hours and storage of a search before it starts: pure functions, from work to time."""
