"""Forms that names, addresses and quantities in a manifest have, each in words; reserved keys.

Regular expressions are of the kind that Python, Rust and Go read alike: no look-around.
"""

from collections.abc import Iterable

from detnas.records.settings import RESOLUTION
from detnas.schema import FRACTION

LABEL = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""A DNS-1035 label."""

NAMESPACE = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""A DNS-1123 label."""

OBJECT_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""A DNS-1123 subdomain: the name of a Secret, a volume claim, a priority class."""

LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
LABEL_KEY = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)

STORE_URI = r"^(s3://[^/\s]+|file:///)[^\s]*$"
"""A store's address."""

S3_URI = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?$"
"""A folder in a bucket."""

SEARCH_REFERENCE = r"^([a-z]([-a-z0-9]*[a-z0-9])?|(s3://[^/\s]+|file:///)[^\s]*)$"
"""Name of a search, or the address of its folder."""

INNER_PATH = r"^([^/\s][^\s]*)?$"
"""A path below a folder."""

IMAGE = (
    r"^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/)?"
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[a-f0-9]{64})?$"
)

CPU = r"^([1-9][0-9]*(\.[0-9]{1,3})?|0\.[0-9]{0,2}[1-9][0-9]{0,2}|[1-9][0-9]*m)$"
COUNT = r"^[1-9][0-9]*$"
RESOURCE_NAME = (
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
"""The resource of a device plugin."""

ENV_NAME = r"^(NCCL|TORCH_NCCL|UCX|FI|RDMAV|GLOO)_[A-Z0-9_]+$"
"""A variable of a library with which GPUs and nodes communicate."""

BYTES = r"^[1-9][0-9]*(\.[0-9]+)?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"

HUB_LICENSE = r"^[a-z0-9][a-z0-9.+-]*$"
"""Identifier of a licence on the Hugging Face Hub."""

HUB_REPOSITORY = (
    r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$"
)
"""Name of a model or data set on the Hugging Face Hub, with or without its owner."""

WORDS = {
    FRACTION: 'write a plain decimal number as a string, such as "0.4"',
    RESOLUTION: "write WIDTHxHEIGHT, such as 1333x800",
    LABEL: "lower-case letters, digits and hyphens, a letter first, such as my-search",
    NAMESPACE: "lower-case letters, digits and hyphens, such as team-a",
    OBJECT_NAME: "a name of lower-case letters, digits, hyphens and dots, such as team-a",
    LABEL_VALUE: "letters, digits, hyphens, underscores and dots, such as team-a",
    LABEL_KEY: "write a name, or a domain, a slash and a name, such as example.com/team",
    STORE_URI: "write s3://bucket/prefix, or file:///folder with the folder's absolute path",
    S3_URI: "write s3://bucket/prefix",
    SEARCH_REFERENCE: "write the name of a search in this namespace, such as my-search, or the "
    "address of its folder, such as s3://bucket/prefix/team-a/searches/my-search-0123abcd",
    INNER_PATH: "write a path below the source, without a slash at its beginning, such as coco",
    IMAGE: "write an image's name with a tag or a digest, such as registry/team/trainer:1.0",
    CPU: 'write a number of cores as a string, such as "4" or "500m"',
    COUNT: 'write an integer as a string, such as "1"',
    RESOURCE_NAME: "write a device plugin's resource with its domain, such as nvidia.com/gpu",
    ENV_NAME: "write a variable that begins with NCCL_, TORCH_NCCL_, UCX_, FI_, RDMAV_ or GLOO_, "
    "such as NCCL_IB_HCA",
    HUB_LICENSE: "write an identifier in lower case, such as apache-2.0 or other",
    HUB_REPOSITORY: "write owner/name, such as detection-datasets/coco",
    BYTES: "write a number with a unit, such as 500Mi or 8Gi",
}
"""What would be right, where a text does not have the form."""

RESERVED_LABELS = (
    "detnas.dev/",
    "app.kubernetes.io/",
    "batch.kubernetes.io/",
    "kueue.x-k8s.io/",
    "jobset.sigs.k8s.io/",
    "job-name",
    "controller-uid",
)
"""Beginnings of label keys by which the operator and other controllers identify a pod."""

RESERVED_ANNOTATIONS = (
    "detnas.dev/",
    "batch.kubernetes.io/",
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
)
"""Beginnings of annotation keys that identify pods, or that would weaken their security."""


def not_reserved_labels(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels.

    Raises:
        ValueError: one is reserved.
    """
    return _checked(labels, RESERVED_LABELS)


def not_reserved_annotations(annotations: dict[str, str]) -> dict[str, str]:
    """Return the annotations.

    Raises:
        ValueError: one is reserved.
    """
    return _checked(annotations, RESERVED_ANNOTATIONS)


def _checked(given: dict[str, str], reserved: tuple[str, ...]) -> dict[str, str]:
    for key in given:
        if key.startswith(reserved):
            raise ValueError(f"{key} {is_reserved(reserved)}")
    return given


def is_reserved(beginnings: Iterable[str]) -> str:
    """The message about a reserved key."""
    return f"is reserved; keys may not begin with {', '.join(beginnings)}"
