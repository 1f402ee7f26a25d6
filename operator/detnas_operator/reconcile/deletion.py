"""Deletes a search together with its data: its Jobs are stopped first, then the data is deleted."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from detnas.reasons import Reason
from detnas.spec.manifest import SearchSpec
from detnas_operator.admission.admission import admit
from detnas_operator.admission.adoption import belongs_to_another
from detnas_operator.admission.location import own_folder
from detnas_operator.cluster import PLURAL, NotFound
from detnas_operator.cluster.pods import PodView
from detnas_operator.cluster.searches import SearchView
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.search_jobs.jobs import SearchJobs
from detnas_operator.search_jobs.remaining_pods import deleted_but_running
from detnas_operator.tenant_store.confined_store import ConfinedStore
from detnas_operator.tenant_store.stores import Stores
from detnas_operator.tenant_store.time_limit import MAX_PASS_SECONDS, seconds_left

log = logging.getLogger(__name__)

_SLICE_SECONDS = 20.0
"""Of one pass, to delete objects: a folder of any size must not delay other searches."""
FINALIZER = "detnas.dev/delete-data"
"""Set on searches whose data is deleted with them, and on no others."""


def wants_data_deleted(spec: SearchSpec) -> bool:
    """Whether the user wants the search's data deleted with its resource."""
    return spec.storage is not None and spec.storage.on_delete == "Delete"


def has_finalizer(resource: SearchView) -> bool:
    """Whether the resource waits for the operator before it is deleted."""
    return FINALIZER in resource.finalizers


@dataclass(frozen=True, slots=True)
class DataDeletion:
    """Deletes one search together with its data, if the user wants that, by a finalizer.

    Attributes:
        jobs: the search's Jobs.
    """

    jobs: SearchJobs

    def set_finalizer(self, resource: SearchView, wanted: bool) -> SearchView:
        """Add or remove the finalizer as the user wants it; return the resource as it is then."""
        if wanted == has_finalizer(resource):
            return resource
        others = [name for name in resource.finalizers if name != FINALIZER]
        return self._patch(resource, [*others, FINALIZER] if wanted else others)

    def delete(
        self, resource: SearchView, settings: OperatorSettings, stores: Stores
    ) -> bool | Reason:
        """Continue deleting; return whether that is complete, or why it takes too long.

        Raises:
            StoreError: the store cannot be used.
        """
        self._stop_jobs()  # they would run until every other finalizer is removed
        if not has_finalizer(resource):
            return True
        admitted = admit(resource, settings)
        if isinstance(admitted, Reason):  # not accepted (any more): its data cannot be found
            log.warning("its data is not deleted: %s", admitted.message)
        if isinstance(admitted, Reason) or not wants_data_deleted(admitted.manifest.spec):
            self.set_finalizer(resource, wanted=False)
            return True
        folder, store = own_folder(resource), stores.open(admitted.root, resource.namespace)
        if belongs_to_another(store, folder, resource.uid):
            log.warning("%s is not deleted: another resource continues with it", folder)
            self.set_finalizer(resource, wanted=False)
            return True
        if alive := self._live_pods():
            now = datetime.now(UTC)
            return deleted_but_running(alive, resource.deleted or now, now) or False
        return self._delete_data(resource, store, folder)

    def _stop_jobs(self) -> None:
        """Delete the Jobs that may be running."""
        for name in self.jobs.live():
            self.jobs.delete(name, "the search is deleted")

    def _live_pods(self) -> list[PodView]:
        """Delete all Jobs, also those the watch missed; return the pods that have not ended."""
        self.jobs.list_again()
        self._stop_jobs()
        return [pod for pod in self.jobs.live_pods() if not pod.has_ended]

    def _delete_data(self, resource: SearchView, store: ConfinedStore, folder: str) -> bool:
        """Continue deleting; return whether all is deleted and the resource may go.

        No pod may be alive any more. A search's folder never holds a pool: pools are stored beside
        the searches.

        Args:
            resource: being deleted.
            store: of the search.
            folder: key of its folder.
        """
        while count := store.delete_some(f"{folder}/"):
            log.info("deleted %d objects of %s/%s", count, store.uri, folder)
            if seconds_left() < MAX_PASS_SECONDS - _SLICE_SECONDS:
                return False
        self.set_finalizer(resource, wanted=False)
        return True

    def _patch(self, resource: SearchView, finalizers: list[str]) -> SearchView:
        # A merge patch replaces the list: only on the version it was read from.
        metadata = {"resourceVersion": str(resource.version), "finalizers": finalizers}
        body = {"metadata": metadata}
        try:
            patched = self.jobs.client.merge_patch(PLURAL, resource.namespace, resource.name, body)
        except NotFound:
            return resource
        return SearchView(patched)
