"""A two-stage detector of mmdet, from its configuration, as the manifest's sections describe it.

The sections are read first. Then every value that the configuration states is compared with the
configuration of what they describe: what differs, or is not known at all, is not supported.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from detnas.architecture import Architecture, encode
from detnas.errors import UserError
from detnas.records.settings import DetectorShape, HeadKind
from detnas.spec.base import Model, model_architecture
from detnas_trainer.detector_config import detector_config
from detnas_trainer.foreign.backbone_description import described_backbone
from detnas_trainer.foreign.configuration import Settings, value_at
from detnas_trainer.foreign.mmdet_defaults import value_or_default
from detnas_trainer.openmmlab import Config

_DECIMALS = 11
_SHOWN = 100
_HEAD = "roi_head.bbox_head.0"
_RCNN = "train_cfg.rcnn.0"

_IGNORED = (
    "init_cfg", "pretrained", "debug", "num_classes",
    "data_preprocessor.pad_mask", "data_preprocessor.non_blocking",
)  # fmt: skip
"""Ends of paths that change no detector: initial weights, and what is the data set's."""


@dataclass(frozen=True, slots=True)
class Description:
    """A detector as `spec.base` and `spec.detector` describe it, without weights.

    Attributes:
        architecture: the backbone.
        shape: everything around it.
    """

    architecture: Architecture
    shape: DetectorShape

    def sections(self) -> dict[str, Any]:
        """Both sections, as plain data, without what is the default."""
        shape = self.shape.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {"base": base_fields(self.architecture), "detector": shape}


def base_fields(architecture: Architecture) -> dict[str, Any]:
    """The fields of `spec.base` that name a backbone: a well-known model's name, or an encoding."""
    for model in Model:
        if model_architecture(model) == architecture:
            return {"model": str(model)}
    fields: dict[str, Any] = {
        "architecture": encode(architecture),
        "family": str(architecture.family),
        "stem": architecture.stem,
    }
    if groups := architecture.group_widths:
        fields["groupWidth"] = groups[0][0]
    return fields


def describe_file(path: Path) -> Description:
    """Describe the detector of a configuration file of mmdet, with all that it inherits.

    The file is run, as mmengine runs it.

    Raises:
        UserError: it cannot be read, or its detector is not supported.
    """
    if not path.is_file():
        raise UserError(f"{path} is no file", "give a configuration of mmdet 3")
    try:
        config = Config.fromfile(str(path)).to_dict()
    except Exception as error:  # it may do anything
        said = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{path} cannot be read: {type(error).__name__}: {said}",
            "give a configuration that this version of mmengine reads",
        ) from error
    return describe(config)


def describe(config: Settings) -> Description:
    """Describe the detector of a configuration of mmdet 3, as plain data.

    Raises:
        UserError: it is no Faster or Cascade R-CNN with FPN that is supported; each value that is
            not is named by its path in the configuration.
    """
    model = config.get("model")
    if not isinstance(model, Mapping):
        raise UserError(
            "the configuration has no model", "give the configuration of a detector of mmdet 3"
        )
    _check_parts(model)
    reader = _Reader(model)
    architecture = described_backbone(model.get("backbone") or {}, reader.problems)
    shape = _shape(reader)
    if architecture is not None and shape is not None:
        classes = reader.first(f"{_HEAD}.num_classes", 80)
        wanted = detector_config(architecture, shape, classes)
        reader.problems += _differences(model, wanted)
    if reader.problems or architecture is None or shape is None:
        raise _unsupported(reader.problems)
    return Description(architecture, shape)


def _check_parts(model: Settings) -> None:
    """Refuse a model of other parts, whose values would be looked for in vain."""
    wrong = [] if _kind(model) in _DETECTORS else [_unknown("type", model, _DETECTORS)]
    for part, supported in _PARTS.items():
        found = model.get(part)
        if isinstance(found, list | tuple):  # necks, one after the other
            rows = [(f"{part}.{number}", one) for number, one in enumerate(found)]
        else:
            rows = [(part, found)]
        wrong += [
            _unknown(f"{place}.type", one, supported)
            for place, one in rows
            if _kind(one) not in supported
        ]
    if wrong:
        raise _unsupported(wrong)


def _kind(part: Any) -> str:
    return str(value_at(part, "type")).rpartition(".")[2]


def _unknown(path: str, part: Any, supported: tuple[str, ...]) -> str:
    return f"model.{path} is {value_at(part, 'type')!r}; supported is {' or '.join(supported)}"


def _unsupported(problems: Iterable[str]) -> UserError:
    lines = "".join(f"\n  {problem}" for problem in dict.fromkeys(problems))
    return UserError(
        f"the configuration's detector is not supported:{lines}",
        "docs/base-weights.md says which are",
    )


_DETECTORS = ("FasterRCNN", "CascadeRCNN")
_PARTS = {
    "neck": ("FPN",),
    "rpn_head": ("RPNHead",),
    "roi_head": ("StandardRoIHead", "CascadeRoIHead"),
}


class _Reader:
    """Reads values below `model`, and collects those that cannot be read."""

    def __init__(self, model: Settings) -> None:
        self.model = model
        self.problems: list[str] = []

    def first(self, path: str, default: Any = None) -> Any:
        """A value, mmdet's default, or the one given if there is none."""
        found = value_or_default(self.model, path)
        return default if found is None else found

    def number(self, path: str, default: Any = None) -> str | None:
        """A number as the manifest writes it."""
        return self._read(path, default, _fraction)

    def numbers(self, path: str, default: Any = None) -> list[str] | None:
        """A list of numbers as the manifest writes them."""
        return self._read(path, default, lambda value: [_fraction(one) for one in value])

    def _read(self, path: str, default: Any, convert: Callable[[Any], Any]) -> Any:
        value = self.first(path, default)
        try:
            return convert(value)
        except (TypeError, ValueError, ArithmeticError):
            found = "is missing" if value is None else f"is {_shown(value)}"
            self.problems.append(f"model.{path} {found}; it must be given as a number of 0 or more")
            return None


def _shape(reader: _Reader) -> DetectorShape | None:
    is_cascade = reader.first("type") in {"CascadeRCNN", "mmdet.CascadeRCNN"}
    default = DetectorShape(head=HeadKind.CASCADE if is_cascade else HeadKind.STANDARD)
    anchors = "rpn_head.anchor_generator"
    whole = str(reader.first(f"{anchors}.type", "")).endswith("WholePixelAnchorGenerator")
    scales = reader.first(f"{anchors}.scales", [])
    fields: dict[str, Any] = {
        "neck": reader.first("neck.out_channels"),
        "fc": reader.first(f"{_HEAD}.fc_out_channels", 1024),
        "proposals": reader.first("test_cfg.rpn.max_per_img"),
        "roi_samples": reader.first(f"{_RCNN}.sampler.num"),
        "pad_divisor": reader.first("data_preprocessor.pad_size_divisor"),
        "variant": "Torchvision" if whole else "Mmdet",
        "head": default.head,
        "anchor_ratios": reader.numbers(f"{anchors}.ratios"),
        "rpn_stds": reader.numbers("rpn_head.bbox_coder.target_stds"),
        "roi_size": reader.first("roi_head.bbox_roi_extractor.roi_layer.output_size"),
        "roi_finest_scale": reader.first("roi_head.bbox_roi_extractor.finest_scale"),
        "proposal_nms_iou": reader.number("test_cfg.rpn.nms.iou_threshold"),
        "pixels": {
            "order": "RGB" if reader.first("data_preprocessor.bgr_to_rgb") else "BGR",
            "mean": reader.numbers("data_preprocessor.mean"),
            "std": reader.numbers("data_preprocessor.std"),
        },
        "boxes": {
            "score_threshold": reader.number("test_cfg.rcnn.score_thr"),
            "nms_iou": reader.number("test_cfg.rcnn.nms.iou_threshold"),
            "max_per_image": reader.first("test_cfg.rcnn.max_per_img"),
        },
        **({"anchor_scale": scales[0]} if len(scales) == 1 else {"anchor_scales": scales}),
    }
    betas = (_beta(reader, "rpn_head"), _beta(reader, _HEAD))
    for name, beta, usual in zip(("rpn_beta", "box_beta"), betas, default.betas, strict=True):
        if not math.isclose(beta, usual, abs_tol=1e-9):
            fields[name] = _fraction(beta)
    stages = _stages(reader, is_cascade)
    trained = reader.first("train_cfg.rpn_proposal.max_per_img")
    try:
        shape = DetectorShape.model_validate(fields)
        if trained != shape.proposals_in_training:
            fields["training_proposals"] = trained
        shape = DetectorShape.model_validate({**fields, "stages": stages})
        # What equals the default of the head is left out.
        if shape.box_stages == default.box_stages:
            shape = DetectorShape.model_validate(fields)
        return shape
    except ValidationError as error:
        if not reader.problems:
            found = error.errors(include_url=False)[0]
            place = ".".join(map(str, found["loc"]))
            reader.problems.append(f"model: detector.{place} would be {found['input']!r:.60}")
        return None


def _stages(reader: _Reader, is_cascade: bool) -> list[dict[str, Any]]:
    number = reader.first("roi_head.num_stages", 1) if is_cascade else 1
    return [
        {
            "iou": reader.number(f"train_cfg.rcnn.{stage}.assigner.pos_iou_thr"),
            "stds": reader.numbers(f"roi_head.bbox_head.{stage}.bbox_coder.target_stds"),
            "loss_weight": reader.number(f"roi_head.stage_loss_weights.{stage}")
            if is_cascade
            else "1",
        }
        for stage in range(number)
    ]


def _beta(reader: _Reader, part: str) -> float:
    if str(reader.first(f"{part}.loss_bbox.type", "")).endswith("SmoothL1Loss"):
        return float(reader.first(f"{part}.loss_bbox.beta"))
    return 0.0


def _differences(model: Settings, wanted: Settings) -> Iterator[str]:
    """Values that the description does not give, by their paths; mmdet's defaults stand in."""
    for path, value in _leaves(model):
        here = value_or_default(wanted, path)
        if path.startswith("backbone.") or path.endswith(_IGNORED) or ".init_cfg." in f".{path}":
            continue
        if value is not None and not _equal(value, here):
            right = "it is not supported" if here is None else f"supported is {_shown(here)}"
            yield f"model.{path} is {_shown(value)}; {right}"
    for path, here in _leaves(wanted):
        if path.startswith("backbone.") or path.endswith(_IGNORED):
            continue
        if value_at(model, path) is None and not _equal(value_or_default(model, path), here):
            yield f"model.{path} is missing; supported is {_shown(here)}"


def _leaves(settings: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its path; the items of a list of parts have numbers."""
    if isinstance(settings, Mapping):
        for name, inner in settings.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(settings, list | tuple) and any(isinstance(x, Mapping) for x in settings):
        for number, inner in enumerate(settings):
            yield from _leaves(inner, f"{path}.{number}")
    else:
        yield path, settings


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(one, str) and isinstance(other, str):
        return one.rpartition(".")[2] == other.rpartition(".")[2]
    return bool(one == other)


def _fraction(value: Any) -> str:
    """A number as a manifest writes it; one that is negative or no number raises."""
    number = Decimal(repr(float(value)))
    if not number.is_finite() or number < 0:
        raise ValueError(value)
    return format(round(number, _DECIMALS).normalize(), "f")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
