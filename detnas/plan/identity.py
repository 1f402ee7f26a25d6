"""Which search a manifest means: the same one again as long as no result could change."""

from typing import Any

from detnas.plan.digest import settings_digest
from detnas.spec.manifest import DetNASSearch

_MUTABLE: dict[str, Any] = {
    "retention": True,
    "storage": True,
    "search": {"trials", "parallelism", "patience"},
    "suspend": True,
    "limits": True,
    "deadlines": True,
    "jobs": True,
    "base": {"gpus"},
    "teachers": {"workers", "gpus_per_worker"},
    "evaluation": {"gpus"},
    "finetune": {"gpus"},
}
"""May be changed while a search runs: how long it goes on, how fast, where, and what it keeps."""


def local_uid(manifest: DetNASSearch) -> str:
    """Return 8 hexadecimal digits of the digest of the spec less what may be changed.

    On a cluster the API server gives the resource its uid; on one machine this stands for it,
    so that the same manifest goes on with the same search.
    """
    return settings_digest(manifest.spec.model_dump(exclude=_MUTABLE))[:8]
