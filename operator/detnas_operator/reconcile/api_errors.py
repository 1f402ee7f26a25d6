"""What the API server did not do in a pass: in nobody's way, and told once it lasts."""

from dataclasses import dataclass, field
from types import TracebackType

from detnas.reasons import Reason
from detnas_operator.cluster import ClusterError
from detnas_operator.reconcile.troubles import cluster_trouble

PATIENCE = 4
"""Passes in a row in which something is left undone before anyone is told: a conflict, or an API
server that is busy for a moment, is over by then."""


@dataclass
class ApiErrors:
    """The failures that the API server answered with in one pass."""

    errors: list[ClusterError] = field(default_factory=list)

    def __enter__(self) -> None:
        """Begin a block that such a failure may cut short, and the pass goes on after it.

        One that is no answer is raised: the API server is away, for everything else too.
        """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Take the failure that ended the block."""
        if not isinstance(error, ClusterError) or not error.status:
            return False
        self.errors.append(error)
        return True

    @property
    def first_to_try(self) -> ClusterError:
        """The failure that says when to try again."""
        return max(self.errors, key=lambda error: error.retry_after or 0.0)

    def troubles(self) -> tuple[Reason, ...]:
        """Say what was left undone, each thing once."""
        return tuple(dict.fromkeys(map(cluster_trouble, self.errors)))
