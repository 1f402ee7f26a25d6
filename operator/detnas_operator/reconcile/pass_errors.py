"""Errors of a pass as reasons: those it continues after (`ApiErrors`), and those that end it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from traceback import extract_tb
from typing import ParamSpec, TypeVar

from detnas.errors import UserError
from detnas.lifecycle.blocked import BlockedError
from detnas.reasons import Reason, ReasonCode
from detnas.store.errors import StoreError, StoreUnavailable
from detnas_operator.admission.data_loss import DataLostError
from detnas_operator.cluster import ClusterError, TooManyRequests, Unavailable
from detnas_operator.configuration.store_advice import for_a_cluster

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

PATIENCE = 4
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


def error_reason(error: Exception) -> Reason:
    """Return, and log, why a pass over an accepted search ended early."""
    if isinstance(error, BlockedError):
        return Reason(error.code, str(error))
    if isinstance(error, StoreError | DataLostError):
        reason = store_reason(error) if isinstance(error, StoreError) else error.reason
        log.warning("%s", reason.message)
        return reason
    if isinstance(error, UserError):
        log.error("the search cannot continue", exc_info=error)
        return Reason(ReasonCode.SEARCH_FAILED, str(error))
    trace = trace_id(error)
    log.error("the search cannot continue: trace %s", trace, exc_info=error)
    return unexpected_reason(error, trace)


def store_reason(error: StoreError) -> Reason:
    """Return why a pass could not use the store, with what to do about it on a cluster."""
    away = isinstance(error, StoreUnavailable)
    reason = ReasonCode.STORE_UNAVAILABLE if away else ReasonCode.STORE_REFUSED
    return Reason(reason, str(for_a_cluster(error)))


def unexpected_reason(error: Exception, trace: str) -> Reason:
    """Return the reason for an unexpected error, with the trace ID in the log."""
    brief = f"{type(error).__name__}: {error!s:.300}".rstrip(": ")
    return Reason(
        ReasonCode.SEARCH_FAILED,
        f"the operator hit an unexpected error ({brief}), trace {trace}; the operator's log has "
        "the complete trace under this ID: report it with that",
    )


def trace_id(error: Exception) -> str:
    """Return a number for where an exception was raised, the same at every repetition."""
    frames = extract_tb(error.__traceback__)
    lines = [type(error).__name__, *(f"{frame.filename}:{frame.lineno}" for frame in frames)]
    return sha256("\n".join(lines).encode()).hexdigest()[:8]
