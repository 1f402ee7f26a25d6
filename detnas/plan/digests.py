"""Digests of settings: which search a manifest means, and which pool a search needs."""

import hashlib
import json
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from detnas.records.artifacts import IMAGE_LISTING
from detnas.records.settings import BoxSelection, Training
from detnas.spec.manifest import DetNASSearch, SearchSpec


def settings_digest(settings: Any) -> str:
    """Return the SHA-256 of plain data, pydantic models included, in hexadecimal digits.

    Equal settings have equal digests: the order of keys does not matter, ``1.0`` equals ``1.00``.
    """
    text = json.dumps(_plain(settings), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return value


_MUTABLE: dict[str, Any] = {
    "objectives": True,
    "baselines": True,
    "model_card": True,
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
    "export": True,
}
"""May change while a search runs: its length, speed, nodes, what it retains and exports."""


def local_uid(manifest: DetNASSearch) -> str:
    """Return 8 hexadecimal digits of the digest of the spec without its mutable fields.

    On a cluster the API server gives the resource its UID. On one machine this digest replaces it,
    so that the same manifest continues the same search.
    """
    return settings_digest(manifest.spec.model_dump(exclude=_MUTABLE))[:8]


def with_earlier_defaults(manifest: DetNASSearch) -> DetNASSearch | None:
    """Return what the manifest meant before a default changed; None if it still means the same.

    A search that began then has the digest of the earlier default.
    """
    search = manifest.spec.search
    if "layer_norm" in search.actions.model_fields_set:
        return None
    actions = search.actions.model_copy(update={"layer_norm": "Sum"})
    earlier = search.model_copy(update={"actions": actions})
    return manifest.model_copy(
        update={"spec": manifest.spec.model_copy(update={"search": earlier})}
    )


POOL_FORMAT = 1
"""Incremented whenever the same request would train a different pool."""

_DIGITS = 16


def pool_digest(spec: SearchSpec, data_digest: str, image_listing: str = "") -> str:
    """Return 16 hexadecimal digits that name the pool.

    They cover exactly what its training depends on: no versions, no paths, no number of workers,
    nothing of the student.

    Args:
        spec: the search.
        data_digest: of the annotations and classes, from the prepare job.
        image_listing: its digest, from the prepare job; empty for a search prepared by
            an earlier version, whose pool retains its name.
    """
    teachers = spec.teachers
    phases = range(len(teachers.phases))
    covered: dict[str, Any] = {
        "format": POOL_FORMAT,
        "data": data_digest,
        "horizontalFlip": spec.dataset.horizontal_flip,
        "resolutions": [str(resolution) for resolution in spec.resolutions],
        # Which boxes are kept in the end matters to no training.
        "detector": spec.detector.model_copy(update={"boxes": BoxSelection()}),
        "distillation": teachers.distillation,
        "supernet": teachers.supernet,
        "space": teachers.space,
        "spaces": [teachers.phase_space(number) for number in phases],
        "trainings": [_as_it_learns(teachers.phase_training(number)) for number in phases],
        "sortChannels": teachers.sort_channels,
        "bnImages": teachers.bn_images,
        "seed": teachers.seed,
    }
    if not teachers.zero_init_residual:  # left out where it is as ever: pools retain their names
        covered["zeroInitResidual"] = False
    if image_listing:
        covered[IMAGE_LISTING] = image_listing
    return settings_digest(covered)[:_DIGITS]


def _as_it_learns(training: Training) -> Training:
    """A schedule without what changes no weight."""
    return training.model_copy(update={"activation_checkpointing": False})
