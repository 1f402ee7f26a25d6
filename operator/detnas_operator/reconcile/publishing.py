"""Writes a search's status if that is worth a request, and the events of the change."""

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from detnas.plan.stages import JobId
from detnas.records.verbs import Verb
from detnas.resource.status import OUTCOME_FIELDS
from detnas.spec.search import Strategy
from detnas_operator.cluster import (
    PLURAL,
    AlreadyExists,
    ClusterError,
    Conflict,
    KubernetesClient,
    NotFound,
    Refused,
)
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.searches import SearchView
from detnas_operator.job.names import job_name
from detnas_operator.status.events import Event, event_body, events
from detnas_operator.status.pass_result import PassResult
from detnas_operator.status.patch import (
    RefusedValue,
    is_worth_a_patch,
    merge_patch,
    refused_values,
    without_refused,
)
from detnas_operator.status.resource_status import resource_status
from detnas_operator.telemetry.logs import about
from detnas_operator.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
_VERSIONS = 3
"""Attempts to write a status, each to a newer version: the user may change the search meanwhile."""
_MAX_REFUSED_VALUES = 100
"""Refused values that are remembered; one that was dropped is refused, and added, once more."""
_UPDATE = "restart the operator once the chart's definition, which is newer, is applied"


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes the results of passes.

    Attributes:
        client: writes.
        cache: is updated with what was written.
        metrics: are updated as well.
        progress_seconds: between two writes of mere progress.
        refused_values: what the installed definition does not allow in a status, the latest last.
    """

    client: KubernetesClient
    cache: ClusterCache
    metrics: Metrics
    progress_seconds: float
    refused_values: deque[RefusedValue] = field(
        default_factory=lambda: deque(maxlen=_MAX_REFUSED_VALUES)
    )

    def publish(self, resource: SearchView, result: PassResult, since_last: float) -> bool:
        """Bring the resource's status up to date; return whether something was written.

        Args:
            resource: as last observed.
            result: of the pass.
            since_last: seconds since the last write; infinite for none.

        Raises:
            ClusterError: it could not be written.
        """
        before: Mapping[str, Any] = resource.status
        after = without_refused(
            resource_status(result, before, datetime.now(UTC)), tuple(self.refused_values)
        )
        self._measure(resource, after)
        if not is_worth_a_patch(before, after, since_last, self.progress_seconds):
            return False
        # First the events: a pass that dies before it has written the status is repeated from the
        # same version, and the same events have the same names.
        failed = self._create_events(resource, events(before, after))
        if not self._write_accepted(resource, before, after):
            return False
        self._count_trials(before, after)
        self._create_events(resource, failed)
        return True

    def _write_accepted(
        self, resource: SearchView, before: Mapping[str, Any], after: dict[str, Any]
    ) -> bool:
        """Write the status, without what an older definition refuses."""
        try:
            return self._write(resource, merge_patch(before, after))
        except Refused as error:
            refused = refused_values(after, error.fields)
            if not refused:
                raise
            self.refused_values.extend(refused)
            log.warning("%s; the status is written without what is refused: %s", error, _UPDATE)
            return self._write(resource, merge_patch(before, without_refused(after, refused)))

    def _write(self, resource: SearchView, status: dict[str, Any]) -> bool:
        """Patch the status; return whether the resource is still there.

        In a patch of the status the API server ignores a uid: another search that took the name
        meanwhile would get this one's status. Only a version identifies the object.
        """
        namespace, name = resource.namespace, resource.name
        for _ in range(_VERSIONS):
            body = {"metadata": {"resourceVersion": str(resource.version)}, "status": status}
            try:
                written = self.client.merge_patch(PLURAL, namespace, name, body, "status")
            except NotFound:
                return False
            except Conflict as error:
                conflict, latest = error, self.client.get(PLURAL, namespace, name)
                if latest is None or SearchView(latest).uid != resource.uid:
                    return False
                resource = SearchView(latest)
            else:
                self.cache.put_search(written)
                return True
        raise conflict

    def _create_events(self, resource: SearchView, happened: Iterable[Event]) -> list[Event]:
        """Create the events; return those that failed, which are not worth another pass."""
        failed, now = [], datetime.now(UTC)
        for event in happened:
            body = event_body(event, resource.body, now)
            with _about_trial(resource, event.trial):
                try:
                    self.client.create("events", resource.namespace, body)
                except AlreadyExists:
                    continue
                except ClusterError as error:
                    log.warning("event %s could not be written: %s", event.code, error)
                    failed.append(event)
                else:
                    log.info("%s: %s", event.code, event.message)
        return failed

    def _count_trials(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Count the trials that ended since the last status, each once."""
        known, now = before.get("trials") or {}, after.get("trials") or {}
        for outcome in OUTCOME_FIELDS.values():
            if (ended := now.get(outcome, 0) - known.get(outcome, 0)) > 0:
                self.metrics.count_trials(outcome, ended)

    def _measure(self, resource: SearchView, after: Mapping[str, Any]) -> None:
        hours = after.get("gpuHours")
        self.metrics.set_search(
            resource.namespace,
            resource.name,
            phase=after.get("phase", ""),
            gpu_hours=None if hours is None else float(hours),
            best_h=_h(after.get("best")),
            base_h=_h(after.get("base")),
        )
        self.metrics.set_degraded(resource.namespace, resource.name, _degraded(after))


def _about_trial(resource: SearchView, trial: int | None) -> AbstractContextManager[None]:
    """Let log lines name a trial, and the Job of its number if each has its own."""
    search = resource.body.get("spec", {}).get("search", {})
    if trial is None or search.get("strategy") == Strategy.TEACHER_POOL:
        return about(trial=trial)
    return about(trial=trial, job=job_name(resource.name, JobId(Verb.EVALUATE, trial), ""))


def _degraded(status: Mapping[str, Any]) -> str | None:
    conditions = status.get("conditions") or ()
    degraded = next((each for each in conditions if each["type"] == "Degraded"), None)
    return degraded["reason"] if degraded and degraded["status"] == "True" else None


def _h(detector: Mapping[str, Any] | None) -> float | None:
    return float(detector["h"]) if detector and "h" in detector else None
