"""The upgrade of a found student (paper, X101): deformable convolutions and a cascade of heads."""

from collections.abc import Mapping

from torch import Tensor

from detnas.architecture import Architecture
from detnas.records.requests import DetectorUpgrade
from detnas.records.settings import DetectorShape, HeadKind
from detnas_trainer.evolve.errors import InvalidActionError
from detnas_trainer.weights import State

_HEAD = "roi_head.bbox_head."
_COORDINATES = 4


def upgraded_architecture(architecture: Architecture, upgrade: DetectorUpgrade) -> Architecture:
    """The backbone with deformable convolutions in the stages that the upgrade names.

    Raises:
        InvalidActionError: its blocks have no convolution that can be deformable.
    """
    fields = {"family": architecture.family, "stem": architecture.stem}
    stages = {"stages": architecture.stages, "deformable": upgrade.deformable}
    try:
        return Architecture(**fields, **stages)
    except ValueError as error:
        raise InvalidActionError(
            f"upgrade: {error}", "name stages of a Bottleneck or ResNeXt student"
        ) from error


def upgraded_shape(shape: DetectorShape, upgrade: DetectorUpgrade) -> DetectorShape:
    """The shape with the three heads of Cascade R-CNN, if the upgrade asks for them.

    Raises:
        InvalidActionError: the detector is a cascade already.
    """
    if not upgrade.cascade:
        return shape
    if shape.is_cascade:
        raise InvalidActionError(
            "upgrade.cascade: the detector is a cascade already", "leave cascade out"
        )
    return shape.model_copy(update={"head": HeadKind.CASCADE, "stages": ()})


def upgraded_state(
    state: Mapping[str, Tensor],
    architecture: Architecture,
    before: DetectorShape,
    after: DetectorShape,
) -> State:
    """A student's weights for its upgrade, so that it computes what it did.

    Offsets are zero. Every stage of the cascade begins as the student's head: its one box is the
    mean of the boxes of all classes, in the units of the stage.

    Args:
        state: of the student, with its adaptor if it has one.
        architecture: after the upgrade.
        before: shape of the student.
        after: shape after the upgrade.
    """
    found = dict(state)
    for placed in architecture.blocks:
        if (offsets := architecture.offsets(placed)) is not None:
            block = f"backbone.layer{placed.place.stage + 1}.{placed.place.block}."
            prefix = f"{block}{offsets.name}."
            like = state[f"{block}conv1.weight"]
            shape = (offsets.outputs, offsets.inputs, offsets.kernel, offsets.kernel)
            found[f"{prefix}weight"] = like.new_zeros(shape)
            found[f"{prefix}bias"] = like.new_zeros(offsets.outputs)
    if after.is_cascade and not before.is_cascade:
        head = {name: found.pop(name) for name in state if name.startswith(_HEAD)}
        (units,) = before.box_stages
        for number, stage in enumerate(after.box_stages):
            ratio = [
                float(ours / theirs) for ours, theirs in zip(units.stds, stage.stds, strict=True)
            ]
            for name, value in head.items():
                layer = name.removeprefix(_HEAD)
                made = _one_box(value, ratio) if layer.startswith("fc_reg.") else value.clone()
                found[f"{_HEAD}{number}.{layer}"] = made
    return found


def _one_box(regression: Tensor, ratio: list[float]) -> Tensor:
    """The mean over classes of a layer that regresses a box for each, in other units."""
    by_class = regression.view(-1, _COORDINATES, *regression.shape[1:])
    scale = regression.new_tensor(ratio).view(_COORDINATES, *[1] * (regression.dim() - 1))
    return by_class.mean(dim=0) * scale
