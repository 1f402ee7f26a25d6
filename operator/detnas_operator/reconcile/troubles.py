"""What keeps a pass from going on, as its search's status says it."""

from hashlib import sha256
from traceback import extract_tb

from detnas.reasons import Reason, ReasonCode
from detnas.store.errors import StoreError, StoreUnavailable
from detnas_operator.cluster import ClusterError, TooManyRequests, Unavailable
from detnas_operator.configuration.store_advice import for_a_cluster

_BROKEN_WEBHOOK = "failed calling webhook"
"""The API server answers 500 where it can not reach an admission webhook."""


def cluster_trouble(error: ClusterError) -> Reason:
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


def unexpected(error: Exception, trace: str) -> Reason:
    """Return that nobody foresaw this, and under which number the log has the rest."""
    said = f"{type(error).__name__}: {error!s:.300}".rstrip(": ")
    return Reason(
        ReasonCode.SEARCH_FAILED,
        f"the operator hit an unexpected error ({said}), trace {trace}; the "
        "operator's log has the whole trace under this number: report it with that",
    )


def trace_id(error: Exception) -> str:
    """Return a number for where an exception was raised: the same each time it happens again."""
    frames = extract_tb(error.__traceback__)
    places = [type(error).__name__, *(f"{one.filename}:{one.lineno}" for one in frames)]
    return sha256("\n".join(places).encode()).hexdigest()[:8]


def store_trouble(error: StoreError) -> Reason:
    """Return why a pass could not use the store, with what to do about it on a cluster."""
    away = isinstance(error, StoreUnavailable)
    reason = ReasonCode.STORE_UNAVAILABLE if away else ReasonCode.STORE_REFUSED
    return Reason(reason, str(for_a_cluster(error)))
