"""The verbs of the Kubernetes API that the operator needs, over plain dicts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from detnas_operator.cluster.connection import Connection
from detnas_operator.cluster.errors import NotFound
from detnas_operator.cluster.kinds import KINDS

Object = dict[str, Any]
OnWrite = Callable[[str, str, str], None]
"""Called after every write with verb, kind and outcome (``"ok"`` or the error's class)."""

PAGE = 500


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole collection as it was at one moment.

    Attributes:
        items: the objects.
        resource_version: the moment; an object with a later one was changed or created since.
    """

    items: tuple[Object, ...]
    resource_version: str


class KubernetesClient:
    """Reads and writes objects; thread-safe, one request a call, no hidden state.

    Kinds are plurals: ``detnassearches``, ``jobs``, ``pods``, ``services``, ``events``. Reads are
    sent once more after a failure; writes never: their callers know what a repetition means.
    Every verb raises ``Refused``, ``TooManyRequests`` or ``Unavailable`` where the server can not
    or will not answer.
    """

    def __init__(self, connection: Connection, on_write: OnWrite | None = None) -> None: ...

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return the object, or None where there is none."""

    def list(
        self, kind: str, namespace: str | None, selector: str = "", limit: int = PAGE
    ) -> Iterator[Object]:
        """Yield the objects of a namespace (None: of all), page by page.

        Args:
            selector: label selector, ``a=b,c in (d, e)``; empty for all.
            limit: objects to a page.
        """

    def snapshot(self, kind: str, namespace: str | None, selector: str = "") -> Snapshot:
        """Return all objects of a namespace (None: of all) and the moment they were read at."""

    def create(self, kind: str, namespace: str, body: Object) -> Object:
        """Create an object and return it as stored.

        Raises:
            AlreadyExists: one of this name exists (perhaps ours, its answer having been lost).
            Terminating: the namespace is being deleted.
            Refused: permissions, quota, admission, or an invalid object.
        """

    def merge_patch(
        self,
        kind: str,
        namespace: str,
        name: str,
        body: Object,
        subresource: str | None = None,
    ) -> Object:
        """Apply a JSON merge patch (RFC 7386: lists are replaced, None deletes) and return it all.

        With ``metadata.resourceVersion`` or ``metadata.uid`` in ``body``, only that very version or
        object is patched.

        Raises:
            NotFound: there is no such object.
            Conflict: it is another version or object than ``body`` names.
        """

    def delete(
        self,
        kind: str,
        namespace: str,
        name: str,
        propagation: str = "Background",
        uid: str | None = None,
    ) -> None:
        """Delete an object with what it owns; an absent one is fine.

        Args:
            propagation: Background, Foreground or Orphan. Jobs orphan their pods unless told.
            uid: delete only the object with this UID.

        Raises:
            Conflict: the object has another UID; it stays.
        """

    def pod_log(
        self,
        namespace: str,
        name: str,
        container: str,
        tail_lines: int,
        limit_bytes: int,
    ) -> str:
        """Return the end of a container's log.

        Args:
            limit_bytes: at most so many bytes, the last ones.

        Raises:
            NotFound: the pod or container is not there.
            Refused: the container has not started.
        """
