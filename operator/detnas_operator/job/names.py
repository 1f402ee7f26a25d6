"""Names of the operator's objects, and the labels and annotations that they get.

Names are deterministic, and never longer than Kubernetes allows.
"""

import re
from functools import lru_cache
from hashlib import sha256

from detnas.plan.stages import DueJob
from detnas.records.verbs import Verb
from detnas.spec.jobs import JobFields
from detnas.spec.patterns import RESERVED_ANNOTATIONS, RESERVED_LABELS
from detnas_operator.cluster.labels import (
    APP,
    APP_NAME,
    MANAGED_BY,
    MANAGER,
    NUMBER,
    QUEUE,
    SEARCH,
    VERB,
)

CONTAINER = "trainer"
"""Of the pod's only container; logs and exit codes are read by it."""

_QUEUE_PRIORITY = "kueue.x-k8s.io/priority-class"
_QUEUE_SECONDS = "kueue.x-k8s.io/max-exec-time-seconds"

MAX_NAME_CHARACTERS = 63
"""A Job's name becomes a label's value, and with an index a pod's host name (RFC 1123)."""

_INDEX_DIGITS = 4
"""A worker's index follows the name of its Job, with a hyphen."""
_DIGEST = 8
_AGAIN = re.compile(r"(-(\d+|base))+$")


def job_name(search: str, due: DueJob, folder: str) -> str:
    """Return the name of a due job's Job.

    Args:
        search: name of the search.
        due: the job.
        folder: key of its folder. A search that continued and found another winner fine-tunes and
            exports into another folder, and so in a Job of another name.
    """
    index = _INDEX_DIGITS if due.verb is Verb.POOL else 0
    return _fitted(search, _ending(due, folder), MAX_NAME_CHARACTERS - index)


_ENDING = re.compile(
    r"-(?:(?P<setup>prepare|base)|pool-(?P<phase>\d+)|t(?P<trial>\d{4,})"
    r"|(?P<end>finetune|export)(?:base)?(?:-\d+)*)$"
)


@lru_cache(maxsize=50_000)
def purpose_of(name: str, search: str) -> DueJob | None:
    """Return what a Job of this name does for a search; None if the name is not the search's.

    Args:
        name: of the Job.
        search: name of the search.
    """
    found = _ENDING.search(name)
    if found is None:
        return None
    if found["phase"]:
        due = DueJob(Verb.POOL, int(found["phase"]))
    elif found["trial"]:
        due = DueJob(Verb.EVALUATE, int(found["trial"]))
    else:
        due = DueJob(Verb(found["setup"] or found["end"]))
    index = _INDEX_DIGITS if due.verb is Verb.POOL else 0
    return due if name == _fitted(search, found.group(), MAX_NAME_CHARACTERS - index) else None


def service_name(search: str) -> str:
    """Return the name of the Service by which the pool's workers find each other."""
    return _fitted(search, "-pool", MAX_NAME_CHARACTERS)


def _ending(due: DueJob, folder: str) -> str:
    if due.verb is Verb.EVALUATE:
        return f"-t{due.number:04d}"
    if due.verb is Verb.POOL:
        return f"-pool-{due.number}"
    if due.verb in (Verb.FINETUNE, Verb.EXPORT):
        again = _AGAIN.search(folder.rpartition("/")[2])
        # "-export-base" would be the base's Job of a search whose name ends with "-export".
        return f"-{due.verb}{again.group() if again else ''}".replace("-base", "base")
    return f"-{due.verb}"


def _fitted(search: str, ending: str, longest: int) -> str:
    """Return name and ending; a name that is too long is cut, and a digest keeps it distinct."""
    room = longest - len(ending)
    if len(search) > room:
        digest = sha256(search.encode()).hexdigest()[:_DIGEST]
        search = f"{search[: room - _DIGEST - 1].rstrip('-')}-{digest}"
    return f"{search}{ending}"


def own_labels(search: str, due: DueJob) -> dict[str, str]:
    """Return the labels of a Job and of its pods."""
    return {
        APP: APP_NAME,
        MANAGED_BY: MANAGER,
        SEARCH: search,
        VERB: str(due.verb),
        NUMBER: str(due.number),
    }


def queue_labels(fields: JobFields) -> dict[str, str]:
    """Return the labels of a Job by which Kueue decides on it."""
    wanted = {
        QUEUE: fields.queue_name,
        _QUEUE_PRIORITY: fields.queue_priority_class,
        _QUEUE_SECONDS: fields.queue_seconds,
    }
    return {label: str(value) for label, value in wanted.items() if value is not None}


def users_labels(labels: dict[str, str]) -> dict[str, str]:
    """Return the user's labels of pods less those by which a pod is recognised.

    The manifest refuses these; a resource accepted before a key was reserved still holds them.
    """
    return _without(labels, RESERVED_LABELS)


def users_annotations(annotations: dict[str, str]) -> dict[str, str]:
    """Return the user's annotations of pods less those that are not theirs to set."""
    return _without(annotations, RESERVED_ANNOTATIONS)


def _without(given: dict[str, str], reserved: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in given.items() if not key.startswith(reserved)}
