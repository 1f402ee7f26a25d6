"""The administrator's configuration of the operator, and what follows from it."""
