"""Stores the logs of attempts that were killed; a process that ends by itself stores its own.

The log of a killed process is only in its pod, which is deleted with its Job even if a later
attempt succeeds.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from detnas.lifecycle.attempts import attempt_numbers
from detnas.records import keys
from detnas.records.results import Attempt
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord
from detnas_operator.cluster.pods import PodView
from detnas_operator.job.names import CONTAINER
from detnas_operator.job_state.failures import culprit
from detnas_operator.job_state.pods import has_failed

MAX_ATTEMPTS = 100
"""Attempts that are read: a job may write any number into its folder."""

MAX_LOG_BYTES = 1 << 20
"""Bytes that are read of a stored log: a trainer cuts its own long before."""
_LINES_IN_MESSAGE = 5


@dataclass(frozen=True, slots=True)
class AttemptLogs:
    """Stores the logs of failed pods whose attempts did not store them.

    Attributes:
        store: where the search is stored.
        log_end: returns the end of the log of a pod's container; empty if there is none.
    """

    store: Store
    log_end: Callable[[PodView, str], str]

    def store_missing(self, folder: str, job_pods: list[PodView]) -> None:
        """Copy the ends of logs beside the other files of their attempts.

        Args:
            folder: key of the job's folder.
            job_pods: the pods of its Job.
        """
        if not any(_worked(pod) for pod in job_pods):
            return
        for attempt in islice(self._without_log(folder), MAX_ATTEMPTS):
            pod = next((pod for pod in job_pods if _ran_at(pod, attempt.started)), None)
            text = self.log_end(pod, CONTAINER) if pod else ""
            if text.strip():
                self.store.put(keys.log_key(folder, attempt.number), text.encode())

    def store_last(self, folder: str, job_pods: list[PodView]) -> list[str]:
        """Copy the end of the log of the pod that was made last; return its last lines.

        If another container than the trainer failed, these are that one's, and not stored. If no
        pod is left, they are from the log that the last attempt stored itself.

        Args:
            folder: key of the job's folder.
            job_pods: the pods of its Job.
        """
        attempt = max(attempt_numbers(self.store, folder), default=1)
        key = keys.log_key(folder, attempt)
        size = self.store.size(key)
        if job_pods:
            last = max(job_pods, key=lambda pod: str(pod.created))
            container = culprit(last)
            text = self.log_end(last, container)
            if text.strip() and container == CONTAINER and size is None:
                self.store.put(key, text.encode())
            if text.strip():
                return _last_lines(text)
        if size is None or size > MAX_LOG_BYTES:
            return []
        kept = self.store.get(key)
        return _last_lines(kept.data.decode(errors="replace")) if kept else []

    def _without_log(self, folder: str) -> Iterator[Attempt]:
        listed = self.store.list(f"{keys.attempts_folder(folder)}/")
        for number, names in sorted(keys.attempt_files(folder, listed).items()):
            if keys.ATTEMPT in names and keys.LOG not in names:
                with contextlib.suppress(CorruptRecord):  # it is for people only
                    key = keys.attempt_key(folder, number)
                    attempt = load_record(self.store, key, Attempt)
                    if attempt is not None and attempt.number == number:
                        yield attempt


def _last_lines(text: str) -> list[str]:
    return text.strip().splitlines()[-_LINES_IN_MESSAGE:]


def _worked(pod: PodView) -> bool:
    """Whether it failed, and is one that numbers attempts: of several workers, the first."""
    return has_failed(pod) and pod.index == 0


def _ran_at(pod: PodView, moment: datetime) -> bool:
    """Whether an attempt that began then was this pod's; its node reports full seconds."""
    ended = pod.container(CONTAINER).terminated
    if not _worked(pod) or ended is None or ended.started is None or ended.finished is None:
        return False
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return ended.started <= known < ended.finished + timedelta(seconds=1)
