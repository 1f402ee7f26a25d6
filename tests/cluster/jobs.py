"""Jobs that tests make by hand."""

from collections.abc import Mapping

from tests.cluster.api import Document


def job(
    name: str,
    labels: Mapping[str, str] | None = None,
    owner: Document | None = None,
    *,
    suspend: bool = True,
) -> Document:
    """A Job with one pod; without an owner it is somebody else's."""
    container = {"name": "trainer", "image": "trainer:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": dict(labels or {}),
            "ownerReferences": [reference_to(owner)] if owner else [],
        },
        "spec": {"suspend": suspend, "template": template},
    }


def reference_to(owner: Document) -> Document:
    """How an object names the one that it is of."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned_job(name: str, owner: Document) -> Document:
    """A Job of a search, with the labels that the operator gives it."""
    search = owner["metadata"]["name"]
    labels = {"app.kubernetes.io/managed-by": "detnas", "detnas.dev/search": search}
    return job(name, labels, owner)
