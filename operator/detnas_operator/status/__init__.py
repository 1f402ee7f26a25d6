"""A search's status and events, from a pass result and the earlier status; pure functions."""
