"""The end of a search whose data goes with it: Jobs stop first, then the data is deleted."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from detnas.reasons import Reason, ReasonCode
from detnas.spec.manifest import SearchSpec
from detnas_operator.cluster import PLURAL, KubernetesClient, NotFound
from detnas_operator.job_state import pods
from detnas_operator.reconcile.search_jobs import SearchJobs
from detnas_operator.tenant_store.confined_store import ConfinedStore
from detnas_operator.tenant_store.time_limit import LONGEST_PASS, seconds_left

log = logging.getLogger(__name__)
Object = dict[str, Any]

FINALIZER = "detnas.dev/delete-data"
"""On a search whose data goes with it; no other search has a finalizer."""

PATIENCE = timedelta(minutes=5)
"""For pods of a deleted search to stop, before anyone is told that they do not."""


def wants_data_deleted(spec: SearchSpec) -> bool:
    """Whether the user asked that the search's data goes with its resource."""
    return spec.storage is not None and spec.storage.on_delete == "Delete"


def has_finalizer(resource: Object) -> bool:
    """Whether the resource waits for us before it goes."""
    return FINALIZER in resource["metadata"].get("finalizers", ())


def holds_up(alive: Sequence[Object], deleted: datetime, now: datetime) -> Reason | None:
    """Say which pods keep a deleted search for too long, and what to do; None if none does.

    Args:
        alive: pods of the search that have not ended.
        deleted: when the search was.
        now: the time; a pod whose grace is not over is not late.
    """
    late = sorted((pod for pod in alive if _due(pod, deleted) <= now), key=pods.name)
    if not late or now < deleted + PATIENCE:
        return None
    name, node = pods.name(late[0]), pods.node(late[0])
    others = f", like {len(late) - 1} more," if late[1:] else ""
    return Reason(
        ReasonCode.PODS_STOPPING,
        f"the search is deleted, and its data goes once its pods have stopped, but pod {name} on "
        f"node {node or '(none)'}{others} has not since {_due(late[0], deleted):%H:%M:%S} UTC; if "
        f"the node is truly gone, delete it, or `kubectl delete pod {name} --force`: a pod that "
        "still runs would write on",
    )


@dataclass(frozen=True, slots=True)
class Finalizing:
    """Adds, serves and removes the finalizer of one search.

    Attributes:
        client: writes.
        jobs: the search's Jobs.
    """

    client: KubernetesClient
    jobs: SearchJobs

    def keep(self, resource: Object, wanted: bool) -> Object:
        """Add or remove the finalizer as the user wants it; return the resource as it is then."""
        if wanted == has_finalizer(resource):
            return resource
        others = [name for name in _finalizers(resource) if name != FINALIZER]
        return self._patch(resource, [*others, FINALIZER] if wanted else others)

    def stop_jobs(self) -> None:
        """Delete the Jobs that may be running."""
        for name in self.jobs.live():
            self.jobs.delete(name, "the search is deleted")

    def still_alive(self) -> list[Object]:
        """Delete all Jobs, seen or missed by the watch; return the pods that have not ended."""
        self.jobs.list_again()
        self.stop_jobs()
        return [pod for pod in self.jobs.live_pods() if pods.phase(pod) not in pods.ENDED]

    def delete_data(self, resource: Object, store: ConfinedStore, folder: str) -> bool:
        """Go on with deleting; return whether all is done and the resource may go.

        No pod may be alive any more. A search's folder never holds a pool: pools lie beside the
        searches.

        Args:
            resource: being deleted.
            store: where the search lies.
            folder: key of its folder.
        """
        # Some at a time: whoever filled the folder must not keep others waiting.
        while count := store.delete_some(f"{folder}/"):
            log.info("deleted %d objects of %s/%s", count, store.uri, folder)
            if seconds_left() < LONGEST_PASS - _SLICE_SECONDS:
                return False
        self.keep(resource, wanted=False)
        return True

    def _patch(self, resource: Object, finalizers: list[str]) -> Object:
        metadata = resource["metadata"]
        # A merge patch replaces the list: only on the version it was read from.
        body = {
            "metadata": {
                "resourceVersion": metadata["resourceVersion"],
                "finalizers": finalizers,
            }
        }
        try:
            return self.client.merge_patch(PLURAL, metadata["namespace"], metadata["name"], body)
        except NotFound:
            return resource


_SLICE_SECONDS = 20.0


def _due(pod: Object, deleted: datetime) -> datetime:
    """When a pod should have stopped: its grace included, once it was told to."""
    return max(deleted, pods.moment(pod["metadata"].get("deletionTimestamp")) or deleted)


def _finalizers(resource: Object) -> list[str]:
    return list(resource["metadata"].get("finalizers", ()))
