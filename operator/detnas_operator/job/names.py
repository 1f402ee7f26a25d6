"""Names of Jobs and Services: the same every time, never longer than Kubernetes allows."""

import re
from hashlib import sha256

from detnas.plan.stages import DueJob, Verb

CONTAINER = "trainer"
"""Of the pod's only container; logs and exit codes are read by it."""

LONGEST = 63
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
        folder: key of its folder. A search that went on and found another winner fine-tunes and
            exports into another folder, and so in a Job of another name.
    """
    index = _INDEX_DIGITS if due.verb is Verb.POOL else 0
    return _fitted(search, _ending(due, folder), LONGEST - index)


_ENDING = re.compile(
    r"-(?:(?P<setup>prepare|base)|pool-(?P<phase>\d+)|t(?P<trial>\d{4,})"
    r"|(?P<end>finetune|export)(?:base)?(?:-\d+)*)$"
)


def purpose_of(name: str, search: str) -> DueJob | None:
    """Return what a Job of this name does for a search; none where it is not one of its names.

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
    return due if name == _fitted(search, found.group(), LONGEST - index) else None


def service_name(search: str) -> str:
    """Return the name of the Service by which the pool's workers find each other."""
    return _fitted(search, "-pool", LONGEST)


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
    """Cut the search's name where it must be; what is cut is told apart by a digest."""
    room = longest - len(ending)
    if len(search) > room:
        digest = sha256(search.encode()).hexdigest()[:_DIGEST]
        search = f"{search[: room - _DIGEST - 1].rstrip('-')}-{digest}"
    return f"{search}{ending}"
