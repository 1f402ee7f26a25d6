"""What a search's status and events say: pure, from what a pass found and what was said before."""
