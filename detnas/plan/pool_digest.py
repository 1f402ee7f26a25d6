"""Which pool a search needs: searches whose pools would be trained alike share one."""

from typing import Any

from detnas.plan.digest import settings_digest
from detnas.spec.manifest import SearchSpec

POOL_FORMAT = 1
"""Raised whenever the same request would train a different pool."""

_DIGITS = 16


def pool_digest(spec: SearchSpec, data_digest: str, image_listing: str = "") -> str:
    """Return 16 hexadecimal digits that name the pool.

    They cover everything that its training depends on, and nothing that it does not: no
    versions, no paths, no number of workers, nothing of the student's.

    Args:
        spec: the search.
        data_digest: of the annotations and classes, from the prepare job.
        image_listing: digest of the image listing, from the prepare job; empty for a search that an
            earlier version prepared, whose pool keeps its name.
    """
    teachers = spec.teachers
    phases = range(len(teachers.phases))
    covered: dict[str, Any] = {
        "format": POOL_FORMAT,
        "data": data_digest,
        "horizontalFlip": spec.dataset.horizontal_flip,
        "resolutions": [str(resolution) for resolution in spec.resolutions],
        "detector": spec.detector,
        "distillation": teachers.distillation,
        "supernet": teachers.supernet,
        "space": teachers.space,
        "spaces": [teachers.phase_space(number) for number in phases],
        "trainings": [teachers.phase_training(number) for number in phases],
        "sortChannels": teachers.sort_channels,
        "bnImages": teachers.bn_images,
        "seed": teachers.seed,
    }
    if image_listing:
        covered["pictures"] = image_listing
    return settings_digest(covered)[:_DIGITS]
