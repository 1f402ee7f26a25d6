"""Errors of the API server that a pass continues after, and their reasons."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster import ClusterError, TooManyRequests, Unavailable

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE_PASSES = 4
"""Passes in a row with API errors before they are reported: a conflict, or an API server that is
busy for a moment, is over by then."""
_BROKEN_WEBHOOK = "failed calling webhook"
"""The API server answers 500 if it cannot reach an admission webhook."""


@dataclass
class ApiErrors:
    """The errors that the API server answered with in one pass, which continues after them."""

    errors: list[ClusterError] = field(default_factory=list)

    def attempt(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        """Call what needs the API server; if that fails, collect the error and return None.

        Raises:
            ClusterError: there was no answer: the API server is unreachable for the whole pass.
        """
        try:
            return call(*args, **kwargs)
        except ClusterError as error:
            if not error.status:
                raise
            self.errors.append(error)
            return None

    @property
    def latest_retry(self) -> ClusterError:
        """The error that states the longest time until a retry."""
        return max(self.errors, key=lambda error: error.retry_after or 0.0)

    def reasons(self) -> tuple[Reason, ...]:
        """Return what the API server did not do, each thing once."""
        return tuple(dict.fromkeys(map(cluster_reason, self.errors)))


def cluster_reason(error: ClusterError) -> Reason:
    """Return why the API server did not do something, in its words."""
    if _BROKEN_WEBHOOK in str(error):
        return Reason(ReasonCode.ADMISSION_REFUSED, f"an admission webhook is broken: {error}")
    if isinstance(error, TooManyRequests | Unavailable):
        return Reason(
            ReasonCode.CLUSTER_UNAVAILABLE, f"the API server fails: {error}; it is tried again"
        )
    return Reason(
        ReasonCode.CLUSTER_REFUSED, f"the API server refuses this to the operator: {error}"
    )
