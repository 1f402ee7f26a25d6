"""What the cluster was last seen to hold: searches and their Jobs, kept slim, never going back."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from detnas_operator.cluster import Snapshot

Object = dict[str, Any]

SEARCH_LABEL = "detnas.dev/search"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "detnas"


class SearchKey(NamedTuple):
    """Which search: what the work queue is keyed by."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ClusterCache:
    """The latest search objects and Jobs, from watch events and from our own writes' answers.

    Thread-safe. Objects go in whole and come out slim; what comes out is shared: do not change it.
    An object never goes back to an older ``resourceVersion``, and a deleted one (by UID) never
    comes back, in whatever order events and answers arrive.
    """

    def search(self, key: SearchKey) -> Object | None:
        """Return the search as last seen: metadata (without managedFields), spec, status."""

    def searches(self) -> list[SearchKey]:
        """Return the keys of all searches."""

    def jobs(self, key: SearchKey, uid: str) -> list[Object]:
        """Return the Jobs labelled with the search and owned by ``uid``, by name.

        Each has metadata (name, namespace, uid, resourceVersion, labels, annotations,
        creationTimestamp, deletionTimestamp, ownerReferences), spec (suspend, parallelism,
        completions, backoffLimit, ttlSecondsAfterFinished) and status, as the API writes them.
        """

    def foreign_jobs(self, key: SearchKey, uid: str) -> list[Object]:
        """Return the Jobs labelled with the search that another object owns, or none."""

    def put_search(self, body: Object) -> bool:
        """Take in a search as seen or answered; return whether that is news."""

    def drop_search(self, body: Object) -> None:
        """Take in that a search was deleted; its Jobs leave by their own events."""

    def put_job(self, body: Object) -> bool:
        """Take in a Job as seen or answered; return whether that is news."""

    def drop_job(self, body: Object) -> None:
        """Take in that a Job was deleted (its body as last seen: metadata is enough)."""

    def replace_jobs(self, key: SearchKey, snapshot: Snapshot) -> None:
        """Take in an authoritative list of the Jobs labelled with the search.

        What was created since the snapshot stays.
        """

    def replace_all(
        self, namespace: str | None, searches: Snapshot, jobs: Snapshot
    ) -> Iterable[SearchKey]:
        """Take in authoritative lists of a namespace (None: all); return the keys with news."""


def job_key(job: Object) -> SearchKey | None:
    """Return the search a Job is labelled with; None where it is not one of ours."""


def owner_uid(body: Object) -> str:
    """Return the UID of an object's controller; empty where it has none."""
