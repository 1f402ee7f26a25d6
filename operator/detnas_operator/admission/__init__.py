"""Whether a search is accepted, where its data is stored, and which earlier data it adopts."""
