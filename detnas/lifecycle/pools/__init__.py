"""Teacher pools: the lease of the search that trains one, listing, deletion, supplied pools."""
