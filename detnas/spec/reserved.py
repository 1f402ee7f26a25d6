"""Labels and annotations of pods that are not the user's to set."""

from collections.abc import Iterable

RESERVED_LABELS = (
    "detnas.dev/",
    "app.kubernetes.io/",
    "batch.kubernetes.io/",
    "kueue.x-k8s.io/",
    "job-name",
    "controller-uid",
)
"""Beginnings of label keys by which the operator, the job controller and Kueue know a pod."""

RESERVED_ANNOTATIONS = (
    "detnas.dev/",
    "batch.kubernetes.io/",
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
)
"""Beginnings of annotation keys by which pods are known, or that would loosen their security."""


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
    """What is said of a reserved key."""
    return f"is reserved; keys may not begin with {', '.join(beginnings)}"
