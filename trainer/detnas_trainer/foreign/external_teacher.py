"""A teacher of one's own: another detector's backbone, neck and box heads, with their pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from detnas_trainer.detector_config import STRIDES
from detnas_trainer.foreign.checkpoint import class_names
from detnas_trainer.foreign.checkpoint_file import STEPS, read_file, refusals_name
from detnas_trainer.foreign.class_order import order_of_classes, reordered
from detnas_trainer.foreign.pixels import Pixels
from detnas_trainer.foreign.teacher_configuration import (
    FIELD,
    read_configuration,
    teacher_settings,
)
from detnas_trainer.openmmlab import MODELS, ConfigDict, DefaultScope
from detnas_trainer.weights import State, WeightsError, check_state

_WEIGHTS = "teachers.external.weights"
_BOX_HEADS = "roi_head.bbox_head."
_PROBE = 128
"""Side, in pixels, of the image that is tried; the highest level has two positions a side."""

_SAME = 1e-6
"""Largest difference of two normalisations that are taken for one: a module has 32 bits."""


@dataclass(frozen=True, slots=True)
class BoxPass:
    """One pass of RoIs through a stage of a teacher.

    Attributes:
        features: RoIs × neck × height × width, after RoI align.
        logits: RoIs × (classes + 1), background last.
        deltas: RoIs × 4·classes, or RoIs × 4 of a class-agnostic head.
    """

    features: Tensor
    logits: Tensor
    deltas: Tensor


class ExternalTeacher(nn.Module):
    """What teaches of a detector of mmdet; it has no RPN, since it is given the student's RoIs.

    Tensors have mmdet's names; those of a head of one stage are ``roi_head.bbox_head.0.…``, too.

    Args:
        settings: as `teacher_settings` gives them.

    Attributes:
        neck_width: channels of the neck's levels.
        roi_side: height and width of RoI features.

    Raises:
        WeightsError: a part cannot be built.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.backbone = _built("backbone", settings["backbone"])
        self.neck = _built("neck", settings["neck"])
        self.roi_head: Any = nn.Module()
        self.roi_head.bbox_head = nn.ModuleList(
            _built("roi_head.bbox_head", one) for one in settings["heads"]
        )
        extractors = [_built("roi_head.bbox_roi_extractor", one) for one in settings["extractors"]]
        self.extractors = nn.ModuleList(extractors)
        self.semantic_extractor: nn.Module | None = None
        if settings["semantic_head"] is not None:
            head = settings["semantic_head"]
            self.roi_head.semantic_head = _built("roi_head.semantic_head", head)
            self.semantic_extractor = _built(
                "roi_head.semantic_roi_extractor", settings["semantic_extractor"]
            )
        self.pixels = Pixels(settings["mean"], settings["std"], settings["is_rgb"])
        self.neck_width: int = settings["extractors"][0]["out_channels"]
        self.roi_side = tuple(extractors[0].roi_layers[0].output_size)

    @property
    def heads(self) -> Sequence[Any]:
        """The box head of each stage."""
        return list(self.roi_head.bbox_head)

    def levels(self, inputs: Tensor, sizes: Sequence[tuple[int, int]], ours: Pixels) -> Any:
        """The neck's levels, N × neck × H × W each, of images that a student is given.

        Args:
            inputs: N × 3 × H × W, normalised for the student.
            sizes: height and width of each image; what is beyond them is padding.
            ours: the student's pixels.
        """
        return self.neck(self.backbone(self._normalised(inputs, sizes, ours)))

    def passes(self, levels: Sequence[Tensor], rois: Sequence[Tensor]) -> list[BoxPass]:
        """Put RoIs through the heads, in 32 bits: the first through the first stage, and so on.

        Where there are fewer stages, the last one serves the rest.

        Args:
            levels: of `levels`.
            rois: for each of the student's stages RoIs × 5: image index and box corners.
        """
        levels = [level.float() for level in levels]
        has_semantic = self.semantic_extractor is not None
        semantic = self.roi_head.semantic_head(levels)[1] if has_semantic else None
        last = len(self.heads) - 1
        return [
            self._pass(min(stage, last), levels, semantic, one) for stage, one in enumerate(rois)
        ]

    def _pass(
        self, stage: int, levels: Sequence[Tensor], semantic: Tensor | None, rois: Tensor
    ) -> BoxPass:
        extractor: Any = self.extractors[stage]
        features = extractor(levels[: extractor.num_inputs], rois)
        if semantic is not None:
            assert self.semantic_extractor is not None
            extra = self.semantic_extractor([semantic.float()], rois)
            features = features + functional.adaptive_avg_pool2d(extra, features.shape[-2:])
        logits, deltas = self.heads[stage](features)
        return BoxPass(features, logits.float(), deltas.float())

    def _normalised(self, inputs: Tensor, sizes: Sequence[tuple[int, int]], ours: Pixels) -> Tensor:
        theirs = self.pixels
        scale, shift = _affine(ours, theirs)
        same_order = theirs.is_rgb == ours.is_rgb
        if same_order and max(*(abs(x - 1) for x in scale), *map(abs, shift)) < _SAME:
            return inputs
        order = slice(None) if same_order else [2, 1, 0]
        x = inputs * inputs.new_tensor(scale).view(1, 3, 1, 1)
        x = (x + inputs.new_tensor(shift).view(1, 3, 1, 1))[:, order]
        return x * _inside(sizes, inputs)


def _affine(ours: Pixels, theirs: Pixels) -> tuple[list[float], list[float]]:
    """Scale and shift of each channel, in the order of ours, from our pixels to theirs."""
    step = 1 if ours.is_rgb else -1
    by_channel = list(zip(ours.mean, ours.std, theirs.mean, theirs.std, strict=True))[::step]
    scale = [std / their_std for _, std, _, their_std in by_channel]
    shift = [(mean - their_mean) / std for mean, _, their_mean, std in by_channel]
    return scale, shift


def _inside(sizes: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
    """N × 1 × H × W: 1 in the images, 0 in the padding, which is 0 for every detector."""
    height = torch.arange(like.shape[2], device=like.device).view(1, -1, 1)
    width = torch.arange(like.shape[3], device=like.device).view(1, 1, -1)
    limits = torch.tensor([size[:2] for size in sizes], device=like.device)
    inside = (height < limits[:, 0].view(-1, 1, 1)) & (width < limits[:, 1].view(-1, 1, 1))
    return inside[:, None].to(like.dtype)


def _built(part: str, settings: Mapping[str, Any]) -> Any:
    try:
        with DefaultScope.overwrite_default_scope("mmdet"):
            return MODELS.build(ConfigDict(settings))
    except Exception as error:  # what a constructor raises for wrong arguments is anything
        said = str(error).strip().partition("\n")[0]
        raise WeightsError(
            f"{FIELD}: model.{part}: mmdet does not build it ({said})",
            "give a configuration that this version of mmdet reads",
        ) from error


@dataclass(frozen=True, slots=True)
class TeacherFile:
    """A teacher as it is stored: everything that its jobs need.

    Attributes:
        state: its tensors, the class layers in the data set's order of classes.
        settings: what `ExternalTeacher` is built from.
        notes: what was done or assumed, for people.
    """

    state: State
    settings: dict[str, Any]
    notes: tuple[str, ...]


def read_teacher(config: Path, weights: Path, classes: Sequence[str]) -> TeacherFile:
    """Read a teacher from its configuration and checkpoint, and try it.

    Args:
        config: its mmdet configuration, in one file.
        weights: its checkpoint.
        classes: of the data set, in its order.

    Raises:
        WeightsError: it cannot be read, does not fit, or cannot teach.
        OSError: a file cannot be read.
    """
    given = read_configuration(config)
    settings = teacher_settings(given)
    teacher = ExternalTeacher(settings)
    with refusals_name(_WEIGHTS):
        stored = read_file(weights)
        state, note = _teachers_part(stored.state, teacher.state_dict(), len(teacher.heads))
        named = class_names(stored.meta) or class_names(given.get("metainfo")) or class_names(given)
        order, class_note = order_of_classes(named, classes, teacher.heads[0].num_classes)
        state |= reordered(state, order)
    teacher.load_state_dict(state)
    _try(teacher.eval())
    return TeacherFile(state, settings, tuple(filter(None, (*stored.notes, note, class_note))))


def load_teacher_file(settings: Mapping[str, Any], state: Mapping[str, Tensor]) -> ExternalTeacher:
    """The teacher in evaluation mode that no gradient reaches, from what `read_teacher` gave."""
    teacher = ExternalTeacher(settings)
    check_state(state, teacher.state_dict())
    teacher.load_state_dict(dict(state))
    return teacher.requires_grad_(requires_grad=False).eval()


def _teachers_part(
    given: Mapping[str, Tensor], expected: Mapping[str, Tensor], stages: int
) -> tuple[State, str]:
    """The tensors of the parts that teach, and what was left out."""
    prefixes = {".".join(name.split(".")[:2]) if name.startswith("roi_head") else
                name.split(".")[0] for name in expected}  # fmt: skip
    own = {n: v for n, v in given.items() if n.startswith(tuple(f"{p}." for p in prefixes))}
    if stages == 1:
        own = {name.replace(_BOX_HEADS, f"{_BOX_HEADS}0."): value for name, value in own.items()}
    counts = {name: value for name, value in expected.items() if name.endswith(STEPS)}
    check_state(counts | own, expected)
    left_out = sorted({".".join(name.split(".")[:2]) for name in given.keys() - own.keys()})
    others = [part for part in left_out if not part.startswith("roi_head.bbox_head")]
    note = f"the teacher's {', '.join(others)} do not teach, and are left out" if others else ""
    return counts | own, note


def _try(teacher: ExternalTeacher) -> None:
    """Refuse a teacher that needs an operator which is absent, or whose levels do not fit."""
    image = torch.zeros(1, 3, _PROBE, _PROBE)
    rois = torch.tensor([[0.0, 16.0, 16.0, 80.0, 80.0]])
    with torch.inference_mode():
        try:
            levels = teacher.levels(image, [(_PROBE, _PROBE)], teacher.pixels)
            _check_levels(levels, teacher.neck_width)
            teacher.passes(levels, [rois])
        except NotImplementedError as error:
            raise WeightsError(
                f"{FIELD}: {error}", "compile mmcv in the trainer's image, or give another teacher"
            ) from error


def _check_levels(levels: Sequence[Tensor], width: int) -> None:
    found = [(level.shape[1], _PROBE // level.shape[2]) for level in levels]
    wanted = [(width, stride) for stride in STRIDES]
    if found != wanted:
        raise WeightsError(
            f"{FIELD}: its neck has levels of strides {[stride for _, stride in found]} with "
            f"{sorted({channels for channels, _ in found})} channels; the students' have strides "
            f"{list(STRIDES)}, and its box heads read {width} channels",
            "give a teacher with a feature pyramid of these levels",
        )
