"""The store as one tenant's searches may use it: confined to folders, and bounded."""
