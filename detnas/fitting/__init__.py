"""From a data set's facts and a machine to a manifest: pure functions, each with its reason."""
