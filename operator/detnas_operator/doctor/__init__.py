"""Whether a user could run a search in a namespace, for `detnas doctor --cluster`."""
