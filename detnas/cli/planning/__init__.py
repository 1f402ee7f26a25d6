"""Commands for before a search: its manifest, its data, its machine, its time."""
