"""One JSON object a line, each with the search, trial and job it is about."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def about(**fields: str | int | None) -> Iterator[None]:
    """Give every line logged in the block these fields: search, namespace, trial, job, verb.

    Nests; None leaves a field as it is. Holds in the thread or task that entered it.
    """
    yield


def configure_logs(level: str) -> None:
    """Log to standard error as JSON lines from ``level`` on, and quieten chatty libraries."""
