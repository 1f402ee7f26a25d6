"""From a file to a detector's tensors, by mmdet's names, and the classes they were trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from detnas.records.settings import DetectorVariant
from detnas_trainer.foreign.checkpoint_file import read_file, refusals_name
from detnas_trainer.foreign.configuration import Settings, saved_configuration
from detnas_trainer.foreign.torchvision_detector import by_mmdets_names, is_torchvisions
from detnas_trainer.weights import State, WeightsError, listed

_PARTS = ("backbone.", "neck.", "rpn_head.", "roi_head.")
_OTHER_NAMES = (
    ("backbone.bottom_up.", "its names are those of detectron2"),
    (
        "bbox_head.",
        "its names are those of mmdet 1, which mmdet 2's upgrade_model_version.py converts",
    ),
)
_TRAIN_INSTEAD = (
    "give a Faster R-CNN with FPN that mmdet or torchvision trained; without one, leave "
    "base.weights out and give base.train"
)
_BACKBONE_INSTEAD = "give it as base.backboneWeights, with base.train"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A detector that was trained elsewhere.

    Attributes:
        state: its tensors on the CPU, floating-point ones as float32.
        classes: that it was trained on, in their order; None if the file does not say.
        notes: what was chosen, changed or ignored in reading it, for people.
        variant: of the detector that the weights are for.
        configuration: of the training, where the file contains it.
    """

    state: State
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    variant: DetectorVariant = DetectorVariant.MMDET
    configuration: Settings | None = None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a detector's checkpoint, of torch.save or safetensors, whatever its suffix.

    Raises:
        WeightsError: the file is missing, broken, holds more than tensors and plain values, or is
            no state dict of a Faster R-CNN with FPN.
        OSError: the file cannot be read.
    """
    with refusals_name("base.weights"):
        stored = read_file(path)
        classes = class_names(stored.meta)
        if is_torchvisions(stored.state):
            state, classes, done = by_mmdets_names(path, stored.state, classes)
            _check_parts(path, state)
            return Checkpoint(state, classes, (*stored.notes, *done), DetectorVariant.TORCHVISION)
        state, left_out = _without_shadows(stored.state)
        _check_parts(path, state)
    notes, configuration = (*stored.notes, *left_out), saved_configuration(stored.meta)
    return Checkpoint(state, classes, notes, configuration=configuration)


def _without_shadows(state: State) -> tuple[State, tuple[str, ...]]:
    """Leave out the second set of weights that mmdet 2's hook for averaging keeps beside them."""
    shadows = {f"ema_{name.replace('.', '_')}" for name in state} & state.keys()
    if not shadows:
        return state, ()
    note = (
        f"{len(shadows)} tensors named ema_… were left out: at the end of an epoch mmdet 2 saves "
        "the averaged weights under the plain names"
    )
    return {name: value for name, value in state.items() if name not in shadows}, (note,)


def _check_parts(path: Path, state: Mapping[str, Tensor]) -> None:
    absent = [part for part in _PARTS if not any(name.startswith(part) for name in state)]
    if not absent:
        return
    if any(name.startswith(("layer1.", "backbone.layer1.")) for name in state) and (
        absent[-3:] == list(_PARTS[1:])
    ):
        known, remedy = "its names are those of a backbone alone", _BACKBONE_INSTEAD
    else:
        tops = sorted({name.partition(".")[0] for name in state})
        found = (said for start, said in _OTHER_NAMES if any(n.startswith(start) for n in state))
        known, remedy = next(found, f"its names begin with {listed(tops)}"), _TRAIN_INSTEAD
    raise WeightsError(
        f"{path} is no Faster R-CNN with FPN: no tensor begins with {' or '.join(absent)}; {known}",
        remedy,
    )


def class_names(described: Any) -> tuple[str, ...] | None:
    """The classes, from mmengine's meta, that of mmdet 2, or our own metadata."""
    if not isinstance(described, Mapping):
        return None
    for holder in (described.get("dataset_meta"), described):
        for key in ("classes", "CLASSES"):
            names = holder.get(key) if isinstance(holder, Mapping) else None
            if isinstance(names, str):
                return (names,)
            if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
                return tuple(names)
    return None
