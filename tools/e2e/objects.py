"""What the administrator of the end-to-end run creates in the cluster, in addition to the chart."""

from __future__ import annotations

from pathlib import Path

from tools.node.s3_server import S3Server

OPERATOR_NAMESPACE = "detnas"
TENANT = "team-a"
CLAIM = "digits"

Document = dict[str, object]


def cluster_objects(data: Path) -> Document:
    """The namespaces, and the folder `data` as a volume that the tenant may claim."""
    size = {"storage": "1Gi"}
    # Jobs must satisfy the strictest of the Pod Security standards.
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    names = (OPERATOR_NAMESPACE, TENANT)
    namespaces = [_object("Namespace", name, labels=enforced) for name in names]
    volume = _object("PersistentVolume", CLAIM) | {
        "spec": {
            "capacity": size,
            "accessModes": ["ReadOnlyMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"namespace": TENANT, "name": CLAIM},
            "hostPath": {"path": str(data), "type": "Directory"},
        }
    }
    claim = _object("PersistentVolumeClaim", CLAIM, namespace=TENANT) | {
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "resources": {"requests": size},
            "storageClassName": "",
            "volumeName": CLAIM,
        }
    }
    return {"apiVersion": "v1", "kind": "List", "items": [*namespaces, volume, claim]}


def chart_values(server: S3Server, version: str) -> Document:
    """The chart's values: our images, the S3 server, one tenant."""
    keys = {"accessKeyId": server.access_key, "secretAccessKey": server.secret_key}
    return {
        "image": {"repository": "localhost/detnas-operator", "tag": version},
        "trainer": {"image": {"repository": "localhost/detnas-trainer", "tag": version}},
        "storage": {
            "endpoint": server.endpoint,
            "allowed": [f"s3://{server.bucket}/searches"],
            "credentials": keys,
        },
        "namespaces": [{"name": TENANT, "s3": keys}],
        "progressSeconds": 5,
    }


def _object(kind: str, name: str, **metadata: object) -> Document:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **metadata}}
