"""What the operator keeps of a search between passes: nothing that a restart could lose."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from detnas.lifecycle.job_requests import JobRequests
from detnas.lifecycle.pools.lease import PoolLease
from detnas.lifecycle.reading.state import SearchReader
from detnas.lifecycle.reading.verification import Verification
from detnas.lifecycle.record import (
    SearchRecord,
    StoredSearch,
    load_search_record,
    record_search,
    versions,
)
from detnas.lifecycle.supplied import SuppliedInputs
from detnas.lifecycle.warm_start.source import LiveUid
from detnas.lifecycle.weight_collector import WeightCollector
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.progress import Progress
from detnas.records.results import Outcome
from detnas.spec.manifest import SearchSpec
from detnas.store import Store
from detnas.store.errors import StoreError
from detnas_operator.admission.admission import (
    Admitted,
    with_current_settings,
    with_record_judged,
)
from detnas_operator.admission.adoption import choose_folder
from detnas_operator.configuration.job_policy import Rules
from detnas_operator.job_state.observed_pods import ObservedPods
from detnas_operator.lookups.progress_reader import ProgressReading
from detnas_operator.lookups.running_pods import RunningPods
from detnas_operator.reconcile.own_labels import OwnLabels
from detnas_operator.reconcile.stopped_jobs import StoppedJobs

Clock = Callable[[], float]


@dataclass
class SearchMemory:
    """One accepted search, as its passes use it.

    Attributes:
        uid: of the resource.
        generation: of the resource it was made for; another one makes another memory.
        admitted: as whom and where it runs.
        search: where it lies, and what its jobs are asked.
        verification: whether results are believed.
        reader: where it stands.
        image: of the trainer, pinned when the search began.
        heard: what its running jobs have written, by folder, as last read.
        ran_since: when a Job's pods were first seen to run without a break, by the Job's name.
        looked: when pods, and whether the store was emptied, were last looked up; none: never.
        patched: when its status was last written.
        done_since: when a running Job's result was first seen, by the Job's name.
        seen_pods: why its Jobs do not run, as last looked up.
        live_uid: who has a name now, of the searches in this namespace.
        given: sees to the pool it names and to the search it goes on from.
        claim: our side of the pool's claim; none until the pool's folder is known.
        trained_pool: this search trained the pool that is ready; none while that is not known.
        running: what the pods of its running Jobs have come to.
        stopped: time of its Jobs that were stopped before they had a result.
        used_gpu_seconds: the most that it was found to have used so far.
        lost_gpu_seconds: of work whose records are lost, which a person accepted.
        labels: of its Jobs.
        unrecorded: what is to be written as `search.json`, once nothing is known to be lost.
        compared: what was read has been compared with what the status says was finished.
    """

    uid: str
    generation: int
    admitted: Admitted
    search: StoredSearch
    image: str
    verification: Verification = field(init=False)
    reader: SearchReader = field(init=False)
    requesting: JobRequests = field(init=False)
    collector: WeightCollector = field(init=False)
    heard: Mapping[str, ProgressReading] = field(default_factory=dict)
    ran_since: dict[str, float] = field(default_factory=dict)
    looked: float | None = None
    patched: float | None = None
    running: RunningPods = field(default_factory=RunningPods)
    done_since: dict[str, float] = field(default_factory=dict)
    seen_pods: ObservedPods = field(default_factory=ObservedPods)
    live_uid: LiveUid = field(default=lambda _name: None)
    given: SuppliedInputs = field(init=False)
    claim: PoolLease | None = None
    trained_pool: bool | None = None
    stopped: StoppedJobs = field(init=False)
    used_gpu_seconds: float = 0.0
    lost_gpu_seconds: float = 0.0
    labels: OwnLabels = field(default_factory=OwnLabels)
    unrecorded: SearchRecord | None = None
    compared: bool = False

    def __post_init__(self) -> None:
        """Begin with nothing read."""
        self.stopped = StoppedJobs(self.search.store, self.search.requests.search)
        self.look_afresh()

    def is_of(self, uid: str, generation: int) -> bool:
        """Whether it was made for this resource as it is now."""
        return (self.uid, self.generation) == (uid, generation)

    @property
    def requests(self) -> SearchRequests:
        """Builders of the search's requests."""
        return self.search.requests

    @property
    def spec(self) -> SearchSpec:
        """What the search is told."""
        return self.search.requests.spec

    @property
    def store(self) -> Store:
        """Where the search lies."""
        return self.search.store

    def look_afresh(self) -> None:
        """Forget what was read of the store."""
        store, requests = self.search.store, self.search.requests
        self.compared = False
        self.verification = Verification(store)
        self.reader = SearchReader(store, requests, self.verification)
        self.requesting = JobRequests(store, requests, self.reader)
        self.given = SuppliedInputs(self.search, self.live_uid)
        self.collector = WeightCollector(store, requests.search, requests.spec.retention)

    def record(self) -> None:
        """Write what the search is told, where that is new."""
        if self.unrecorded is not None:
            record_search(self.store, self.requests.search, self.unrecorded)
            self.unrecorded = None

    @property
    def is_recorded(self) -> bool:
        """Whether what the search is told is in the store, as it is while its data is there."""
        return self.store.size(keys.search_record_key(self.requests.search)) is not None

    def pool_claim(self, holder: str, clock: Clock) -> PoolLease | None:
        """Return our side of the pool's claim; none while the pool's folder is not known.

        Nor is there one for a pool that the search names: that is never trained here.
        """
        if self.requests.existing_pool is not None:
            return None
        prepare = self.reader.state.prepare
        if self.claim is None and prepare is not None and prepare.outcome is Outcome.SUCCEEDED:
            key = keys.pool_lease_key(self.requests.pool_folder(prepare))
            self.claim = PoolLease(self.store, key, holder, clock)
        return self.claim

    def release_pool(self) -> None:
        """Let another search train the pool, if we hold it; a store that is away waits for it."""
        if self.claim is not None:
            with contextlib.suppress(StoreError):
                self.claim.release()

    def progress_of(self, folder: str) -> Progress | None:
        """What the running job in a folder said last."""
        return self.heard[folder].attempts.progress if folder in self.heard else None

    def attempts_at(self, folder: str) -> int:
        """How many attempts the running job in a folder has made, as last read."""
        return self.heard[folder].attempts.number if folder in self.heard else 0

    def has_published(self, folder: str) -> bool:
        """Whether the running job in a folder has written its result, as last read."""
        return folder in self.heard and self.heard[folder].attempts.has_result


def begin(
    resource: dict[str, Any],
    admitted: Admitted,
    store: Store,
    rules: Rules,
    live_uid: LiveUid = lambda _name: None,
) -> SearchMemory:
    """Read what a search was told when it began, if it has; nothing is written yet.

    Args:
        resource: the custom resource as the API serves it.
        admitted: what was decided of it.
        store: where it lies.
        rules: of its namespace.
        live_uid: who has a name now, of the searches in this namespace.

    Raises:
        StoreError: the store can not be used.
        BlockedError: a person must say whether it goes on with earlier data, or what was told
            then breaks the rules.
    """
    metadata = resource["metadata"]
    manifest = admitted.manifest
    folder = choose_folder(resource, manifest, store)
    before = load_search_record(store, folder)
    if before is not None:
        manifest = with_current_settings(before.manifest, manifest)
    admitted = replace(admitted, manifest=manifest)  # one copy of a manifest is enough
    pinned, recorded = _pinned_image(resource), before.image if before else ""
    if before is not None:
        record, unjudged = (
            f"{store.uri}/{keys.search_record_key(folder)}",
            "" if pinned else recorded,
        )
        admitted = with_record_judged(admitted, resource, unjudged, rules, record)
    requests = SearchRequests(
        manifest=manifest,
        search=folder,
        folder=None,
        pools=admitted.pools,
        existing_pool=admitted.existing_pool,
    )
    known = None if before is None else (before.manifest, before.uid)
    is_new = known != (manifest, metadata["uid"])
    return SearchMemory(
        uid=metadata["uid"],
        generation=metadata["generation"],
        admitted=admitted,
        search=StoredSearch(store, requests),
        image=pinned or recorded or admitted.image,
        unrecorded=_record(metadata["uid"], admitted, requests) if is_new else None,
        live_uid=live_uid,
    )


def _record(uid: str, admitted: Admitted, requests: SearchRequests) -> SearchRecord:
    return SearchRecord(
        uid=uid,
        folder="",
        data=requests.data,
        manifest=requests.manifest,
        versions=versions(),
        image=admitted.image,
    )


def _pinned_image(resource: dict[str, Any]) -> str:
    """Jobs can write the record, but not the status: once that names the image, it rules."""
    said = str((resource.get("status") or {}).get("image") or "")
    return "" if said.endswith("…") else said  # one that was too long for the status


def seconds_since(moment: float | None, now: float) -> float:
    """Seconds from a moment until now; infinite where there was none."""
    return float("inf") if moment is None else now - moment


def parse_time(text: str | None) -> datetime | None:
    """Read a Kubernetes timestamp, as the API writes it."""
    return datetime.fromisoformat(text) if text else None
