"""Admission: whether a search is accepted, where its data lies, which earlier data it adopts."""
