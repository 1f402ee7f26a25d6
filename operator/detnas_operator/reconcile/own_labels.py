"""Labels of Jobs that somebody changed: put back once, and then told.

The operator itself goes by owners and names. But people, policies and dashboards select Jobs by
these labels.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster import NotFound, Refused
from detnas_operator.job.labels import own_labels
from detnas_operator.reconcile.api_errors import ApiErrors
from detnas_operator.reconcile.search_jobs import SearchJobs, purpose

log = logging.getLogger(__name__)
Object = dict[str, Any]

_OURS = "detnas.dev/"
"""Others' prefixes a policy may have good reasons to rewrite: that is logged and no more."""


@dataclass
class OwnLabels:
    """The labels of one search's Jobs.

    Attributes:
        tried: UIDs of Jobs whose labels were put back once.
    """

    tried: set[str] = field(default_factory=set)

    def restore(self, jobs: SearchJobs, undone: ApiErrors) -> list[Reason]:
        """Put back what is missing on running Jobs; return what does not stay.

        Args:
            jobs: of the search.
            undone: takes what the API server does not do for now.
        """
        told = []
        for name, job in jobs.live().items():
            changed = changed_labels(job, jobs.key.name)
            uid = job["metadata"]["uid"]
            if changed and uid not in self.tried:
                with undone:
                    changed = self._put_back(jobs, name, changed)
                    self.tried.add(uid)
                    for label in changed:
                        log.warning("label %s of job %s cannot be put back", label, name)
            ours = [label for label in changed if label.startswith(_OURS)]
            if ours and uid in self.tried:
                told.append(_not_kept(name, ours))
        return told

    @staticmethod
    def _put_back(jobs: SearchJobs, name: str, labels: Mapping[str, str]) -> dict[str, str]:
        """Patch the labels; return those that the Job does not have even so."""
        body = {"metadata": {"labels": dict(labels)}}
        try:
            job = jobs.client.merge_patch("jobs", jobs.key.namespace, name, body)
        except Refused as error:
            log.warning("the labels of job %s cannot be put back: %s", name, error)
            return dict(labels)
        except NotFound:
            return {}
        jobs.cache.put_job(job)
        left = changed_labels(job, jobs.key.name)
        log.info("put back labels of job %s: %s", name, ", ".join(labels.keys() - left.keys()))
        return left


def changed_labels(job: Object, search: str) -> dict[str, str]:
    """Return the labels that a Job of a search should have and has not, or not so."""
    has = job["metadata"].get("labels") or {}
    wanted = own_labels(search, purpose(job))
    return {label: value for label, value in wanted.items() if has.get(label) != value}


def _not_kept(job: str, labels: list[str]) -> Reason:
    return Reason(
        ReasonCode.LABELS_CHANGED,
        f"label {', '.join(labels)} of job {job} was changed, and what the operator puts back "
        "does not stay; the search continues, but whoever selects Jobs by it misses this one; "
        "exempt the Job from the policy or controller that changes it",
    )
