"""What a job's result says of how it failed, where the job could not write it itself."""

import re
from collections.abc import Sequence

from detnas_operator.configuration.settings import Tenant
from detnas_operator.job_state.pod_failures import LAST_LINE

_LONGEST_LINE = 300
_KEYS = re.compile(r"\bAWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)\b")


def in_full(message: str, log_end: Sequence[str], tenant: Tenant, namespace: str) -> str:
    """Return why a job failed, with where its S3 keys come from if it complains of them.

    Args:
        message: what its Job and its pods say.
        log_end: the last lines of its log; one that the message has already is left out.
        tenant: as whom it ran.
        namespace: of the search.
    """
    lines = _untold(message, log_end)
    if any(map(_KEYS.search, (message, *lines))):
        message = f"{message}; {_source_of_keys(tenant, namespace)}"
    if not lines:
        return message
    before = "" if len(lines) == len(log_end) else ", before that"
    return f"{message}; the end of its log{before}:\n" + "\n".join(lines)


def _untold(message: str, log_end: Sequence[str]) -> list[str]:
    told = message.partition(LAST_LINE)[2].removesuffix("…")  # without the time of the log's line
    return [
        line[:_LONGEST_LINE] for line in log_end if not told or told not in " ".join(line.split())
    ]


def _source_of_keys(tenant: Tenant, namespace: str) -> str:
    """A job knows its variables only; who mends them must know the object."""
    if tenant.credentials_secret:
        return f"the keys stand in Secret {tenant.credentials_secret} of namespace {namespace}"
    account = tenant.service_account
    return f"the keys come with service account {account} of namespace {namespace}"
