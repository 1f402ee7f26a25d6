"""The metrics that Prometheus scrapes."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import prometheus_client as prometheus
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from detnas.errors import UserError
from detnas_operator.queue.work_queue import QueueState
from detnas_operator.telemetry.addresses import all_addresses

MAX_SEARCHES = 2000
"""So many searches have gauges of their own; the rest are only counted by phase."""

_PASS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_OF_SEARCH = ("namespace", "search")


class Metrics:
    """The operator's metrics, in a registry of their own; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phase_of: dict[tuple[str, str], str] = {}
        self._shown: set[tuple[str, str]] = set()
        self._degraded: dict[tuple[str, str], str] = {}
        self.registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        self._passes = prometheus.Histogram(
            "detnas_reconcile_seconds",
            "Duration of passes over searches.",
            ["outcome"],
            buckets=_PASS_SECONDS,
            registry=registry,
        )
        self._writes = _counter(registry, "api_writes", "API writes.", "verb", "kind", "outcome")
        self._store = _counter(registry, "store_errors", "Errors of the object store.", "error")
        self._trials = _counter(registry, "trials", "Trials that ended.", "outcome")
        registry.register(_AtScrape(self._phases))
        registry.register(_AtScrape(self._degradations))
        self._of_search = {
            "gpu_hours": _gauge(registry, "search_gpu_hours", "GPU hours used.", *_OF_SEARCH),
            "best_h": _gauge(registry, "search_best_h", "H of the best student.", *_OF_SEARCH),
            "base_h": _gauge(registry, "search_base_h", "H of the base detector.", *_OF_SEARCH),
        }

    def count_pass(self, outcome: str, seconds: float) -> None:
        """Count a pass: outcome ``ok``, or the error's class."""
        self._passes.labels(outcome).observe(seconds)

    def count_write(self, verb: str, kind: str, outcome: str) -> None:
        """Count a write to the Kubernetes API."""
        self._writes.labels(verb, kind, outcome).inc()

    def count_store_error(self, error: BaseException) -> None:
        """Count an error of the object store, by class."""
        self._store.labels(type(error).__name__).inc()

    def count_trials(self, outcome: str, count: int = 1) -> None:
        """Count ended trials: succeeded, invalid, outOfMemory, diverged, infrastructure."""
        self._trials.labels(outcome).inc(count)

    def set_search(
        self,
        namespace: str,
        name: str,
        *,
        phase: str,
        gpu_hours: float | None = None,
        best_h: float | None = None,
        base_h: float | None = None,
    ) -> None:
        """Set a search's gauges; searches by phase are counted from these."""
        search = (namespace, name)
        values = {"gpu_hours": gpu_hours, "best_h": best_h, "base_h": base_h}
        with self._lock:
            self._phase_of[search] = phase
            if search not in self._shown and len(self._shown) >= MAX_SEARCHES:
                return
            self._shown.add(search)
            for field, value in values.items():
                if value is not None:
                    self._of_search[field].labels(*search).set(value)

    def set_degraded(self, namespace: str, name: str, reason: str | None) -> None:
        """Set why a search's condition Degraded is True; None while it is not.

        Only for a search that has gauges of its own.
        """
        search = (namespace, name)
        with self._lock:
            self._degraded.pop(search, None)
            if reason is not None and search in self._shown:
                self._degraded[search] = reason

    def forget_search(self, namespace: str, name: str) -> None:
        """Remove a deleted search's gauges."""
        search = (namespace, name)
        with self._lock:
            self._phase_of.pop(search, None)
            self._shown.discard(search)
            self._degraded.pop(search, None)
            for gauge in self._of_search.values():
                with contextlib.suppress(KeyError):  # it never had this one
                    gauge.remove(*search)

    def watch_queue(self, state: Callable[[], QueueState]) -> None:
        """Ask ``state`` for the work queue's figures at every scrape."""
        for field, help_text in {
            "keys": "Searches the work queue knows.",
            "depth": "Searches that are due and wait for a worker.",
            "oldest_wait": "Seconds the first of them has been waiting.",
            "running": "Passes under way.",
            "oldest_pass": "Seconds the longest of them has been running.",
            "heartbeat_age": "Seconds since the work queue's loop last ran.",
        }.items():
            seconds = "_seconds" if field in ("oldest_wait", "oldest_pass", "heartbeat_age") else ""
            gauge = _gauge(self.registry, f"queue_{field}{seconds}", help_text)
            gauge.set_function(_reader(state, field))

    def serve(self, port: int) -> Callable[[], None]:
        """Serve ``/metrics`` on all addresses, from a thread; return what ends it.

        Raises:
            UserError: something else listens on the port.
        """
        try:
            server, _ = prometheus.start_http_server(port, all_addresses(), self.registry)
        except OSError as error:
            problem = f"metrics.port {port} cannot be used ({error.strerror})"
            raise UserError(problem, "choose one that nothing listens on") from error
        return server.shutdown

    def _phases(self) -> GaugeMetricFamily:
        """Return the searches of each phase; a phase without any has no series."""
        family = GaugeMetricFamily("detnas_searches", "Searches, by phase.", labels=["phase"])
        with self._lock:
            counts = Counter(self._phase_of.values())
        for phase, count in sorted(counts.items()):
            family.add_metric([phase], count)
        return family

    def _degradations(self) -> GaugeMetricFamily:
        """Return one series for each degraded search: a new reason replaces the earlier one."""
        text = "1 while the condition Degraded is True, by its reason."
        labels = [*_OF_SEARCH, "reason"]
        family = GaugeMetricFamily("detnas_search_degraded", text, labels=labels)
        with self._lock:
            degraded = sorted(self._degraded.items())
        for search, reason in degraded:
            family.add_metric([*search, reason], 1)
        return family


class _AtScrape(Collector):
    """A family of gauges that is made at every scrape."""

    def __init__(self, family: Callable[[], GaugeMetricFamily]) -> None:
        self._family = family

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield self._family()


def _counter(
    registry: prometheus.CollectorRegistry, name: str, text: str, *labels: str
) -> prometheus.Counter:
    return prometheus.Counter(f"detnas_{name}", text, labels, registry=registry)


def _gauge(
    registry: prometheus.CollectorRegistry, name: str, text: str, *labels: str
) -> prometheus.Gauge:
    return prometheus.Gauge(f"detnas_{name}", text, labels, registry=registry)


def _reader(state: Callable[[], QueueState], field: str) -> Callable[[], float]:
    def read() -> Any:
        return getattr(state(), field)

    return read
