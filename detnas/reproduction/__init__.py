"""The paper's tables beside what a folder of searches found."""
