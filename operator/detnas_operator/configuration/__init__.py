"""What the administrator tells the operator, and what follows from it."""
