"""Whether a search is accepted, where its data is, what it adopts, and what of it is lost."""
