"""Reading objects that a user may not be allowed to read."""

from collections.abc import Callable
from typing import TypeVar

from detnas.findings import Finding, doubtful, refused
from detnas_operator.cluster import ClusterError
from detnas_operator.cluster.errors import Refused

T = TypeVar("T")


def asked(what: str, read: Callable[[], T]) -> T | Finding:
    """Return what a read returns, or the finding that it is refused or fails.

    Args:
        what: is read, for people.
        read: asks the API server.
    """
    try:
        return read()
    except Refused as error:
        return doubtful(what, f"cannot be told: {error.problem}", "ask who may read it")
    except ClusterError as error:
        return refused(what, error)
