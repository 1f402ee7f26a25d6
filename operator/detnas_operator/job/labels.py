"""Labels and annotations by which the operator knows its objects again."""

from detnas.plan.stages import DueJob
from detnas.spec.job_fields import JobFields
from detnas.spec.reserved import RESERVED_ANNOTATIONS, RESERVED_LABELS

APP = "app.kubernetes.io/name"
APP_NAME = "detnas-trainer"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "detnas"
SEARCH = "detnas.dev/search"
VERB = "detnas.dev/verb"
NUMBER = "detnas.dev/number"
FOLDER = "detnas.dev/folder"
"""Annotation: key of the job's folder in the store."""
ENDED_PODS = "detnas.dev/ended-pods"
"""Annotation of a Job: what was seen of pods that the operator ended."""
TTL = "detnas.dev/ttl-seconds"
"""Annotation of a Job: the time to live that others gave it; it counts once its result is kept."""
QUEUE = "kueue.x-k8s.io/queue-name"
"""Kueue manages the Job that has this label, and no pod of its own account."""
_QUEUE_PRIORITY = "kueue.x-k8s.io/priority-class"
_QUEUE_SECONDS = "kueue.x-k8s.io/max-exec-time-seconds"


def own_labels(search: str, due: DueJob) -> dict[str, str]:
    """Labels of a Job and of its pods."""
    return {
        APP: APP_NAME,
        MANAGED_BY: MANAGER,
        SEARCH: search,
        VERB: str(due.verb),
        NUMBER: str(due.number),
    }


def queue_labels(fields: JobFields) -> dict[str, str]:
    """Labels of a Job by which Kueue decides on it."""
    wanted = {
        QUEUE: fields.queue_name,
        _QUEUE_PRIORITY: fields.queue_priority_class,
        _QUEUE_SECONDS: fields.queue_seconds,
    }
    return {label: str(value) for label, value in wanted.items() if value is not None}


def users_labels(labels: dict[str, str]) -> dict[str, str]:
    """The user's labels of pods less those by which a pod is known.

    The manifest refuses these; a resource accepted before a key was reserved still holds them.
    """
    return _without(labels, RESERVED_LABELS)


def users_annotations(annotations: dict[str, str]) -> dict[str, str]:
    """The user's annotations of pods less those that are not theirs to set."""
    return _without(annotations, RESERVED_ANNOTATIONS)


def _without(given: dict[str, str], reserved: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in given.items() if not key.startswith(reserved)}
