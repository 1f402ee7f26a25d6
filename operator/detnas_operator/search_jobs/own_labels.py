"""Restores the labels of a search's Jobs that others changed.

The operator itself finds Jobs by owner and name. But people, policies and dashboards select Jobs by
these labels.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster import NotFound, Refused
from detnas_operator.cluster.objects import JobView
from detnas_operator.job.names import own_labels
from detnas_operator.search_jobs.jobs import SearchJobs, job_id_of

log = logging.getLogger(__name__)

_OURS = "detnas.dev/"
"""A policy may have reasons to rewrite labels with other prefixes: that is only logged."""


@dataclass
class OwnLabels:
    """The labels of one search's Jobs.

    Attributes:
        restored: UIDs of Jobs whose labels were restored once.
    """

    restored: set[str] = field(default_factory=set)

    def restore(self, jobs: SearchJobs) -> list[Reason]:
        """Restore the labels of running Jobs once; return those that do not stay."""
        reasons = []
        for job in jobs.live().values():
            changed = _changed_labels(job, jobs.key.name)
            uid = job.uid
            if changed and uid not in self.restored:
                left = jobs.api_errors.attempt(_restore, jobs, job, changed)
                if left is not None:
                    changed = left
                    self.restored.add(uid)
                    for label in changed:
                        log.warning("label %s of %s cannot be restored", label, job.title)
            ours = [label for label in changed if label.startswith(_OURS)]
            if ours and uid in self.restored:
                reasons.append(_labels_changed(job.title, ours))
        return reasons


def _restore(jobs: SearchJobs, job: JobView, labels: Mapping[str, str]) -> dict[str, str]:
    """Patch the labels; return those that the Job still lacks."""
    name, patch = job.name, {"metadata": {"uid": job.uid, "labels": dict(labels)}}
    try:
        body = jobs.client.merge_patch(job.plural, jobs.key.namespace, name, patch)
    except Refused as error:
        log.warning("the labels of Job %s cannot be restored: %s", name, error)
        return dict(labels)
    except NotFound:
        return {}
    jobs.cache.put_job(body)
    left = _changed_labels(JobView(body), jobs.key.name)
    log.info("restored labels of Job %s: %s", name, ", ".join(labels.keys() - left.keys()))
    return left


def _changed_labels(job: JobView, search: str) -> dict[str, str]:
    """Return the labels of a search's Job that are missing or have another value."""
    labels = job.labels
    own = own_labels(search, job_id_of(job))
    return {label: value for label, value in own.items() if labels.get(label) != value}


def _labels_changed(job: str, labels: list[str]) -> Reason:
    return Reason(
        ReasonCode.LABELS_CHANGED,
        f"label {', '.join(labels)} of {job} was changed, and the value that the operator "
        "restores does not stay; the search continues, but whatever selects Jobs by it misses this "
        "one; exempt the Job from the policy or controller that changes it",
    )
