"""A client of the API server that speaks its JSON as it is, so that tests see what users see."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml

Document = dict[str, Any]

SEARCHES = "apis/detnas.dev/v1alpha1/detnassearches"
JOBS = "apis/batch/v1/jobs"
PODS = "api/v1/pods"
EVENTS = "api/v1/events"
SECRETS = "api/v1/secrets"
NAMESPACES = "api/v1/namespaces"
SERVICE_ACCOUNTS = "api/v1/serviceaccounts"

CLUSTER_SCOPED = (
    "ClusterQueue",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "Namespace",
    "Node",
    "PriorityClass",
    "ResourceFlavor",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "WorkloadPriorityClass",
)
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class ApiError(Exception):
    """The server refused; `body` is the Status object it sent."""

    def __init__(self, status: int, body: Document) -> None:
        super().__init__(f"{status} {body.get('reason', '')}: {body.get('message', body)}")
        self.status = status
        self.body = body


class MissingError(ApiError):
    """There is no such object."""


@dataclass(frozen=True)
class Api:
    """One caller of one API server; usable from several threads."""

    server: str
    token: str
    ca: Path | None = None

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        ca = str(self.ca) if self.ca else None
        return urllib3.PoolManager(maxsize=16, headers=headers, ca_certs=ca, retries=False)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        **query: str,
    ) -> Any:
        """Send one request and return the answer, from JSON where it is JSON.

        Raises:
            ApiError: the server refused.
        """
        headers = {**self._pool.headers, "Content-Type": content_type}
        data = None if body is None else json.dumps(body).encode()
        answer = self._pool.request(method, self._url(path, query), body=data, headers=headers)
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        content = json.loads(answer.data) if is_json else answer.data.decode()
        if answer.status >= 400:
            raised = MissingError if answer.status == 404 else ApiError
            refusal = content if isinstance(content, dict) else {"message": content}
            raise raised(answer.status, refusal)
        return content

    def _url(self, path: str, query: dict[str, str]) -> str:
        return f"{self.server}/{path}" + (f"?{urlencode(query)}" if query else "")

    def get(self, resource: str, namespace: str = "", name: str = "") -> Document:
        """One object, or the list of them."""
        return self.request("GET", place(resource, namespace, name))

    def find(self, resource: str, namespace: str, name: str) -> Document | None:
        """One object; None where there is none."""
        with contextlib.suppress(MissingError):
            return self.get(resource, namespace, name)
        return None

    def list(self, resource: str, namespace: str = "", **query: str) -> list[Document]:
        """All objects that the query selects, such as ``labelSelector="a=b"``."""
        return self.request("GET", place(resource, namespace), **query)["items"]

    def create(self, document: Document, namespace: str = "", **query: str) -> Document:
        """Create an object; the namespace may also be the document's own."""
        return self.request("POST", collection(document, namespace), document, **query)

    def apply(self, document: Document, namespace: str = "") -> Document:
        """Create an object, or make it what the document says."""
        path = f"{collection(document, namespace)}/{document['metadata']['name']}"
        query = {"fieldManager": "tests", "force": "true"}
        return self.request("PATCH", path, document, content_type=APPLY, **query)

    def patch(
        self, resource: str, namespace: str, name: str, patch: Document, part: str = ""
    ) -> Document:
        """Merge a patch into an object, or into its ``status``."""
        path = place(resource, namespace, name) + (f"/{part}" if part else "")
        return self.request("PATCH", path, patch, content_type=MERGE)

    def delete(self, resource: str, namespace: str, name: str, **options: Any) -> None:
        """Delete an object; options are those of DeleteOptions. No matter if it is gone."""
        body = {"propagationPolicy": "Background", **options}
        with contextlib.suppress(MissingError):
            self.request("DELETE", place(resource, namespace, name), body)

    def watch(self, resource: str, namespace: str = "", **query: str) -> Iterator[Document]:
        """Events as they come, from the objects that are there; ends when the server ends it."""
        url = self._url(place(resource, namespace), {"watch": "true", **query})
        timeout = urllib3.Timeout(connect=10, read=None)
        answer = self._pool.request("GET", url, preload_content=False, timeout=timeout)
        try:
            if answer.status >= 400:
                raise ApiError(answer.status, json.loads(answer.data))
            pending = b""
            for chunk in answer.stream(None):
                *lines, pending = (pending + chunk).split(b"\n")
                yield from map(json.loads, lines)
        finally:
            answer.close()

    def kubeconfig(self, file: Path, namespace: str = "default") -> Path:
        """Write how to reach the server as this caller, as `kubectl` and clients read it."""
        cluster = {
            "server": self.server,
            **({"certificate-authority": str(self.ca)} if self.ca else {}),
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": self.token}}],
            "contexts": [
                {
                    "name": "test",
                    "context": {"cluster": "test", "user": "test", "namespace": namespace},
                }
            ],
            "current-context": "test",
        }
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(content))
        return file


def list_of(objects: list[Document]) -> str:
    """Objects as `kubectl` reads them; to write a release's YAML would take a minute."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def place(resource: str, namespace: str = "", name: str = "") -> str:
    """The path of a resource such as ``apis/batch/v1/jobs``, in a namespace, of an object."""
    if namespace:
        group, _, plural = resource.rpartition("/")
        resource = f"{group}/namespaces/{namespace}/{plural}"
    return f"{resource}/{name}" if name else resource


def collection(document: Document, namespace: str = "") -> str:
    """The path under which objects of a document's kind are made."""
    version, kind = document["apiVersion"], document["kind"].lower()
    if kind.endswith("y"):
        plural = f"{kind[:-1]}ies"
    else:
        plural = f"{kind}es" if kind.endswith(("s", "ch")) else f"{kind}s"
    group = f"apis/{version}" if "/" in version else f"api/{version}"
    if document["kind"] in CLUSTER_SCOPED:
        return f"{group}/{plural}"
    named = document["metadata"].get("namespace") or namespace or "default"
    return place(f"{group}/{plural}", named)
