"""Labels and annotations of pods that a user may not set."""

from collections.abc import Iterable

RESERVED_LABELS = (
    "detnas.dev/",
    "app.kubernetes.io/",
    "batch.kubernetes.io/",
    "kueue.x-k8s.io/",
    "job-name",
    "controller-uid",
)
"""Beginnings of label keys by which the operator, the job controller and Kueue identify a pod."""

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
