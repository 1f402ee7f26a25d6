"""Names of the operator's objects, and the labels and annotations that they get.

Names are deterministic, and never longer than Kubernetes allows.
"""

import re
from functools import lru_cache
from hashlib import sha256

from detnas.plan.stages import JobId
from detnas.records.verbs import Verb
from detnas.spec.baselines import Baseline
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
"""Name of the container in which the job runs; others may be added to its pod."""

_QUEUE_PRIORITY = "kueue.x-k8s.io/priority-class"
_QUEUE_SECONDS = "kueue.x-k8s.io/max-exec-time-seconds"

MAX_NAME_CHARACTERS = 63
"""A Job's name becomes a label's value, and with an index a pod's host name (RFC 1123)."""

_INDEX_DIGITS = 4
"""A worker's index follows the name of its Job, with a hyphen."""
_DIGEST = 8
_AGAIN = re.compile(r"(-(\d+|base))+$")
"""What distinguishes the folder of a later final stage: its trial, or the base, and a count."""
_ENDING = re.compile(
    r"-(?:(?P<setup>prepare|base)|pool-(?P<phase>\d+)|t(?P<trial>\d{4,})|s(?P<subnets>\d{4,})"
    r"|extract-(?P<extract>\d{4,})"
    r"|(?P<finetune>finetune)(?:-(?P<tuned>\d{4,}))?"
    r"|baseline-(?P<baseline>[a-z]+)(?:-\d+)?"
    r"|(?P<end>test|export)(?:base)?(?:-\d+)*)$"
)
"""What follows the search's name in the name of a Job."""


_NUMBERED = {
    Verb.EVALUATE: "-t{:04d}",
    Verb.SUBNETS: "-s{:04d}",
    Verb.EXTRACT: "-extract-{:04d}",
    Verb.POOL: "-pool-{}",
}


def job_name(search: str, job_id: JobId, folder: str) -> str:
    """Return the name of a job's Job.

    Args:
        search: name of the search.
        job_id: which job.
        folder: key of its folder. A search that continued and found another winner fine-tunes and
            exports into another folder, and so in a Job of another name.
    """
    index = _INDEX_DIGITS if job_id.verb is Verb.POOL else 0
    return _fitted(search, _ending(job_id, folder), MAX_NAME_CHARACTERS - index)


@lru_cache(maxsize=50_000)
def parse_job_name(name: str, search: str) -> JobId | None:
    """Return which job a Job of this name runs; None if the name is not the search's.

    Args:
        name: of the Job.
        search: name of the search.
    """
    ending = _ENDING.search(name)
    if ending is None:
        return None
    if ending["phase"]:
        job_id = JobId(Verb.POOL, int(ending["phase"]))
    elif ending["trial"]:
        job_id = JobId(Verb.EVALUATE, int(ending["trial"]))
    elif ending["subnets"]:
        job_id = JobId(Verb.SUBNETS, int(ending["subnets"]))
    elif ending["extract"]:
        job_id = JobId(Verb.EXTRACT, int(ending["extract"]))
    elif ending["finetune"]:
        job_id = JobId(Verb.FINETUNE, int(ending["tuned"]) + 1 if ending["tuned"] else 0)
    elif ending["baseline"]:
        known = {one.folder: one.number for one in Baseline}
        if ending["baseline"] not in known:
            return None
        job_id = JobId(Verb.BASELINE, known[ending["baseline"]])
    else:
        job_id = JobId(Verb(ending["setup"] or ending["end"]))
    index = _INDEX_DIGITS if job_id.verb is Verb.POOL else 0
    return job_id if name == _fitted(search, ending.group(), MAX_NAME_CHARACTERS - index) else None


def service_name(search: str) -> str:
    """Return the name of the Service by which the pool's workers find each other."""
    return _fitted(search, "-pool", MAX_NAME_CHARACTERS)


def _ending(job_id: JobId, folder: str) -> str:
    if job_id.verb in _NUMBERED:
        return _NUMBERED[job_id.verb].format(job_id.number)
    if job_id.verb is Verb.FINETUNE:
        return f"-finetune{f'-{job_id.number - 1:04d}' if job_id.number else ''}"
    if job_id.verb is Verb.BASELINE:
        return f"-baseline-{folder.rpartition('/')[2]}"
    if job_id.verb in (Verb.TEST, Verb.EXPORT):
        again = _AGAIN.search(folder.rpartition("/")[2])
        # "-export-base" would be the base's Job of a search whose name ends with "-export".
        return f"-{job_id.verb}{again.group() if again else ''}".replace("-base", "base")
    return f"-{job_id.verb}"


def _fitted(search: str, ending: str, longest: int) -> str:
    """Return name and ending; a name that is too long is cut, and a digest keeps it distinct."""
    room = longest - len(ending)
    if len(search) > room:
        digest = sha256(search.encode()).hexdigest()[:_DIGEST]
        search = f"{search[: room - _DIGEST - 1].rstrip('-')}-{digest}"
    return f"{search}{ending}"


def own_labels(search: str, job_id: JobId) -> dict[str, str]:
    """Return the labels of a Job and of its pods."""
    return {
        APP: APP_NAME,
        MANAGED_BY: MANAGER,
        SEARCH: search,
        VERB: str(job_id.verb),
        NUMBER: str(job_id.number),
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
    """Return the user's labels of pods without those by which a pod is recognised.

    The manifest refuses these; a resource accepted before a key was reserved still holds them.
    """
    return _without(labels, RESERVED_LABELS)


def users_annotations(annotations: dict[str, str]) -> dict[str, str]:
    """Return the user's annotations of pods without those that are not theirs to set."""
    return _without(annotations, RESERVED_ANNOTATIONS)


def _without(given: dict[str, str], reserved: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in given.items() if not key.startswith(reserved)}
