"""Selects the pods of Jobs by UID, in requests and answers of bounded size."""

from collections.abc import Iterator, Sequence

MAX_PODS = 2000
"""Pods that are read: a tenant could make any number with the operator's labels."""
JOBS_A_LIST = 150
"""UIDs in one label selector: some proxies refuse longer URLs."""
MAX_ANSWER_BYTES = 8 << 20
"""Of one answer: a page with more is read in smaller pages."""

_UID = "batch.kubernetes.io/controller-uid"
"""The Job controller selects its own pods by this label."""


def pod_selectors(uids: Sequence[str]) -> Iterator[str]:
    """Yield label selectors for the pods of Jobs, each for at most `JOBS_A_LIST` of them."""
    for first in range(0, len(uids), JOBS_A_LIST):
        yield f"{_UID} in ({','.join(uids[first : first + JOBS_A_LIST])})"
