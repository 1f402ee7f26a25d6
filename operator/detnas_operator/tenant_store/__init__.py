"""The store as one tenant's searches may use it: confined, bounded in size and time."""
