"""Searches that are over and were found with nothing left to do: nothing is kept or read of them.

What a pass needs of a search grows with its trials, and many searches lie in a cluster long after
they ended.
"""

from typing import Any

from detnas_operator.cluster.cache import SearchKey
from detnas_operator.reconcile.search_jobs import SearchJobs, expires
from detnas_operator.reconcile.steps import OVER
from detnas_operator.status.pass_result import PassResult

Object = dict[str, Any]


class CompletedSearches:
    """Which searches are at rest, and which version of each a pass found so.

    A pass depends on the resource, the Jobs and the store. To a search that is over nothing comes
    in the store but by its Jobs: while it is the same version, and no Job asks for anything, a
    pass over it would find the same again. A new process makes one over each.
    """

    def __init__(self) -> None:
        self._versions: dict[SearchKey, tuple[str, str]] = {}

    def holds(self, key: SearchKey, resource: Object, jobs: SearchJobs) -> bool:
        """Whether a pass found the search at rest, and nothing has changed since."""
        return self._versions.get(key) == _version(resource) and _ask_nothing(jobs)

    def take_in(
        self, key: SearchKey, resource: Object, findings: PassResult, jobs: SearchJobs
    ) -> bool:
        """Note what a pass found that wrote nothing; return whether the search is at rest."""
        search = findings.search
        over = search is not None and search.phase in OVER and not findings.problems
        if over and _ask_nothing(jobs):
            self._versions[key] = _version(resource)
            return True
        self.forget(key)
        return False

    def forget(self, key: SearchKey) -> None:
        """Drop what is kept of a search that is gone."""
        self._versions.pop(key, None)


def _version(resource: Object) -> tuple[str, str]:
    metadata = resource["metadata"]
    return metadata["uid"], metadata["resourceVersion"]


def _ask_nothing(jobs: SearchJobs) -> bool:
    """Whether each Job has ended, and is going to be deleted by Kubernetes."""
    return all(expires(job) for job in jobs.all().values())
