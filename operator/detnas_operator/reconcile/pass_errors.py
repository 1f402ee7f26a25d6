"""Errors that end a pass, as reasons."""

import logging
from hashlib import sha256
from traceback import extract_tb

from detnas.errors import UserError
from detnas.lifecycle.blocked import BlockedError
from detnas.reasons import Reason, ReasonCode
from detnas.store.errors import StoreError, StoreUnavailable
from detnas_operator.admission.data_loss import DataLostError
from detnas_operator.configuration.store_advice import for_a_cluster

log = logging.getLogger(__name__)


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
    code = ReasonCode.STORE_UNAVAILABLE if away else ReasonCode.STORE_REFUSED
    return Reason(code, str(for_a_cluster(error)))


def unexpected_reason(error: Exception, trace: str) -> Reason:
    """Return the reason for an unexpected error, with the trace ID in the log."""
    brief = f"{type(error).__name__}: {error!s:.300}".rstrip(": ")
    return Reason(
        ReasonCode.SEARCH_FAILED,
        f"the operator hit an unexpected error ({brief}), trace {trace}; the operator's log has "
        "the complete trace under this ID: report it with that",
    )


def trace_id(error: Exception) -> str:
    """Return an ID of where an exception was raised, the same at every repetition."""
    frames = extract_tb(error.__traceback__)
    lines = [type(error).__name__, *(f"{frame.filename}:{frame.lineno}" for frame in frames)]
    return sha256("\n".join(lines).encode()).hexdigest()[:8]
