"""Where a search stands and what comes next: shared by every scheduler of jobs."""
