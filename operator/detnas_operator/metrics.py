"""What Prometheus scrapes."""


class Metrics:
    """The operator's metrics, in a registry of their own; thread-safe."""

    def passed(self, outcome: str, seconds: float) -> None:
        """Count a reconcile pass: outcome ``ok``, or the error's class."""

    def wrote(self, verb: str, kind: str, outcome: str) -> None:
        """Count a write to the Kubernetes API."""

    def store_failed(self, error: BaseException) -> None:
        """Count an error of the object store, by class."""

    def trial_finished(self, outcome: str) -> None:
        """Count a trial's end: succeeded, invalid, outOfMemory, diverged, infrastructure."""

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

    def forget_search(self, namespace: str, name: str) -> None:
        """Remove a deleted search's gauges."""
