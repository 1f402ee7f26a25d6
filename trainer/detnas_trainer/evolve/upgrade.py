"""The upgrade of a found student (paper, X101): deformable convolutions."""

from collections.abc import Mapping

from torch import Tensor

from detnas.architecture import Architecture
from detnas.records.requests import DetectorUpgrade
from detnas_trainer.evolve.errors import InvalidActionError
from detnas_trainer.weights import State


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


def upgraded_state(state: Mapping[str, Tensor], architecture: Architecture) -> State:
    """A student's weights for its upgrade, whose offsets are zero: it computes what it did.

    Args:
        state: of the student, with its adaptor if it has one.
        architecture: after the upgrade.
    """
    found = dict(state)
    for placed in architecture.blocks:
        if (offsets := architecture.offsets(placed)) is not None:
            stage, block = placed.place
            prefix = f"backbone.layer{stage + 1}.{block}.{offsets.name}."
            like = state[f"backbone.layer{stage + 1}.{block}.conv1.weight"]
            shape = (offsets.outputs, offsets.inputs, offsets.kernel, offsets.kernel)
            found[f"{prefix}weight"] = like.new_zeros(shape)
            found[f"{prefix}bias"] = like.new_zeros(offsets.outputs)
    return found
