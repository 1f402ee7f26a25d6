"""A data set as its owner has it: recognised, split, described."""
