"""The verbs of the Kubernetes API that the operator needs, over plain dicts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from detnas_operator.cluster.connection import Answer, Connection, Request
from detnas_operator.cluster.error_answers import error_from
from detnas_operator.cluster.errors import ClusterError, NotFound, TooLarge, Unavailable
from detnas_operator.cluster.kinds import KINDS
from detnas_operator.cluster.objects import Object

OnWrite = Callable[[str, str, str], None]
"""Called after every write with verb, kind and outcome (``"ok"`` or the error's class)."""

PAGE = 500
PAGE_BYTES = 16 << 20
"""Of a page of complete objects: a thousand may have 250 MB of annotations."""
LOG_READ = 1 << 20
"""Bytes of a log that are read, to return the end of it: the API keeps the beginning instead."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A collection as it was at one moment.

    Attributes:
        items: the objects.
        resource_version: the moment; an object with a later one was changed or created since.
    """

    items: tuple[Object, ...]
    resource_version: str


class KubernetesClient:
    """Reads and writes objects; thread-safe, one request per call, no hidden state.

    Kinds are plurals: ``detnassearches``, ``jobs``, ``pods``, ``services``, ``events``. Reads are
    sent once more after a failure; writes never: their callers know what a repetition means.
    Every verb raises ``Refused``, ``TooManyRequests`` or ``Unavailable`` if the server refuses or
    fails.
    """

    def __init__(self, connection: Connection, on_write: OnWrite | None = None) -> None:
        self.connection = connection
        self._on_write = on_write

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return the object; None if there is none.

        Raises:
            NotFound: the API server does not know the kind.
        """
        try:
            path = KINDS[kind].path(namespace, name)
            answer = self._read(Request("GET", path), f"get {kind} {namespace}/{name}")
        except NotFound as error:
            if error.reason == "NotFound":
                return None
            raise
        return _object(answer)

    def list(
        self,
        kind: str,
        namespace: str | None,
        selector: str = "",
        fields: str = "",
        limit: int = PAGE,
        *,
        max_bytes: int | None = None,
    ) -> Iterator[Object]:
        """Yield the objects of a namespace (None: of all), page by page.

        Args:
            selector: label selector, ``a=b,c in (d, e)``; empty for all.
            fields: field selector, ``a=b,c=d``; empty for all.
            limit: objects per page.
            max_bytes: of a page; if it has more, smaller pages are read.
        """
        for page in self._pages(kind, namespace, selector, limit, fields, max_bytes):
            yield from page.items

    def snapshot(
        self,
        kind: str,
        namespace: str | None,
        slim: Callable[[Object], Object | None] | None = None,
    ) -> Snapshot:
        """Return all objects of a namespace (None: of all) and the moment they were read at.

        Args:
            slim: returns what to retain of an object, so that no more than a page is ever complete
                in memory; None for an object of no interest.
        """
        items: list[Object] = []
        version = ""
        for page in self._pages(kind, namespace, "", PAGE, max_bytes=PAGE_BYTES):
            kept = map(slim, page.items) if slim else page.items
            items.extend(item for item in kept if item is not None)
            version = page.resource_version
        return Snapshot(tuple(items), version)

    def create(self, kind: str, namespace: str, body: Object) -> Object:
        """Create an object and return it as stored.

        Raises:
            AlreadyExists: one of this name exists (perhaps ours, its answer having been lost).
            Conflict: the quota was being counted just then; the same create may be sent again.
            NotFound: there is no such namespace.
            Terminating: the namespace is being deleted.
            Refused: permissions, quota, admission, or an invalid object.
        """
        what = f"create {kind} {namespace}/{body.get('metadata', {}).get('name', '')}"
        with self._written("create", kind):
            request = Request("POST", KINDS[kind].path(namespace), body=body)
            return _object(self._send(request, what))

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
        object is patched; in a custom resource's ``status`` subresource a uid is ignored.

        Raises:
            NotFound: there is no such object.
            Conflict: it is another version or object than ``body`` names.
        """
        path = KINDS[kind].path(namespace, name, subresource or "")
        what = f"patch {kind} {namespace}/{name}"
        with self._written("patch", kind):
            request = Request("PATCH", path, None, body, "application/merge-patch+json")
            return _object(self._send(request, what))

    def delete(
        self,
        kind: str,
        namespace: str,
        name: str,
        uid: str | None = None,
        grace: int | None = None,
    ) -> Object | None:
        """Delete an object and its dependents; return it if a finalizer keeps it for now.

        That it does not exist is success.

        Args:
            uid: delete only the object with this UID.
            grace: seconds that a pod has to end; None for the grace period of its own spec.

        Raises:
            Conflict: the object has another UID; it stays.
        """
        options: Object = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",  # by default a Job's pods are orphaned
        }
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        path = KINDS[kind].path(namespace, name)
        with self._written("delete", kind):
            try:
                request = Request("DELETE", path, body=options)
                answer = _object(self._send(request, f"delete {kind} {namespace}/{name}"))
            except NotFound as error:
                if error.reason != "NotFound":
                    raise
                return None
        return answer if "deletionTimestamp" in answer.get("metadata", {}) else None

    def pod_log(
        self,
        namespace: str,
        name: str,
        container: str,
        tail_lines: int,
        limit_bytes: int,
    ) -> str:
        """Return the end of a container's log; empty if its pod has no node yet.

        Args:
            limit_bytes: most bytes that are returned, from the end of the log.

        Raises:
            NotFound: the pod or container does not exist.
            Refused: the container has not started.
        """
        query = {
            "container": container,
            "tailLines": str(tail_lines),
            "limitBytes": str(max(limit_bytes, LOG_READ)),
        }
        path = KINDS["pods"].path(namespace, name, "log")
        answer = self._read(Request("GET", path, query), f"get the log of {namespace}/{name}")
        return answer.data[-limit_bytes:].decode(errors="replace")

    def allowed(self, verb: str, kind: str, namespace: str | None, subresource: str = "") -> bool:
        """Return whether the API server would allow this (a SelfSubjectAccessReview)."""
        attributes = {
            "verb": verb,
            "group": KINDS[kind].group,
            "resource": kind,
            "subresource": subresource,
            "namespace": namespace or "",
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        request = Request("POST", path, body=body)
        review = _object(self._send(request, f"ask whether {verb} {kind} is allowed"))
        return bool(review.get("status", {}).get("allowed"))

    def _pages(
        self,
        kind: str,
        namespace: str | None,
        selector: str,
        limit: int,
        fields: str = "",
        max_bytes: int | None = None,
    ) -> Iterator[Snapshot]:
        query = {"limit": str(limit)}
        if selector:
            query["labelSelector"] = selector
        if fields:
            query["fieldSelector"] = fields
        path = KINDS[kind].path(namespace)
        what = f"list {kind} of {namespace or 'all namespaces'}"
        while True:
            request = Request("GET", path, query, max_bytes=max_bytes)
            try:
                page = _object(self._read(request, what))
            except TooLarge:
                if limit == 1:
                    raise
                limit = max(1, limit // 8)
                query["limit"] = str(limit)
                continue
            metadata = page.get("metadata", {})
            yield Snapshot(tuple(page.get("items") or ()), metadata.get("resourceVersion", ""))
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    def _read(self, request: Request, what: str) -> Answer:
        try:
            return self._send(request, what)
        except Unavailable:
            return self._send(request, what)

    def _send(self, request: Request, what: str) -> Answer:
        answer = self.connection.send(request)
        if answer.status >= 300:
            raise error_from(answer, request, what)
        return answer

    @contextmanager
    def _written(self, verb: str, kind: str) -> Iterator[None]:
        outcome = "ok"
        try:
            yield
        except ClusterError as error:
            outcome = type(error).__name__
            raise
        finally:
            if self._on_write:
                self._on_write(verb, kind, outcome)


def _object(answer: Answer) -> Object:
    body = answer.json()
    if not isinstance(body, dict):
        raise Unavailable("the API server's answer is no object", "check proxies in between")
    return body
