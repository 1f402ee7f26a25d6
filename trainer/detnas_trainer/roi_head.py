"""The parts of mmdet's RoI heads: a standard head has one of each, a cascade one for each stage."""

from typing import Any


def box_heads(roi_head: Any) -> list[Any]:
    """The box heads, in order."""
    return _each(roi_head.bbox_head)


def roi_extractors(roi_head: Any) -> list[Any]:
    """What takes each box head's RoIs out of the levels."""
    return _each(roi_head.bbox_roi_extractor)


def box_samplers(roi_head: Any) -> list[Any]:
    """What samples each box head's RoIs in training."""
    return _each(roi_head.bbox_sampler)


def _each(part: Any) -> list[Any]:
    # A cascade has torch's ModuleList of modules, and a plain list of what is none.
    return list(part) if hasattr(part, "__iter__") else [part]
