"""Makes foreign weights fit a detector and its classes; loses nothing unless requested."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from unicodedata import normalize

from torch import Tensor

from detnas.records.settings import DetectorVariant
from detnas_trainer.foreign.checkpoint import Checkpoint
from detnas_trainer.foreign.checkpoint_file import STEPS
from detnas_trainer.foreign.class_order import reordered
from detnas_trainer.foreign.comparison import Comparison, compare, refuse_differences
from detnas_trainer.foreign.configuration import Settings
from detnas_trainer.weights import State, WeightsError, check_state, listed

_SCORES = re.compile(r"roi_head\.bbox_head\.(\d+\.)?fc_cls\.(weight|bias)")
_BOXES = re.compile(r"roi_head\.bbox_head\.fc_reg\.(weight|bias)")
"""Of a standard head; a cascade's boxes are for all classes."""

_UNKNOWN = (
    "the checkpoint does not name its classes: they are taken to be the data set's, in its order"
)


class OtherClassesError(WeightsError):
    """Weights whose class layers are not for the data set's classes."""

    def __init__(self, difference: str) -> None:
        super().__init__(
            f"base.weights: {difference}",
            "add base.train, which initialises the class layers afresh and trains the base on the "
            "data set; or give weights that were trained on its classes",
        )


@dataclass(frozen=True, slots=True)
class Adapted:
    """Weights that fit the model, and what was done to make them, for people to read."""

    state: State
    notes: tuple[str, ...]


def adapt(
    checkpoint: Checkpoint,
    fresh: Mapping[str, Tensor],
    classes: Sequence[str],
    *,
    variant: DetectorVariant = DetectorVariant.MMDET,
    configuration: Settings | None = None,
    trained: bool = False,
) -> Adapted:
    """Make a checkpoint fit a detector: by the names of its classes, where it gives them.

    Args:
        checkpoint: as `read_checkpoint` gives it.
        fresh: state dict of the freshly initialised detector.
        classes: of the data set, in its order.
        variant: of the detector.
        configuration: of the detector; the checkpoint's own is compared with it.
        trained: the detector will be trained, so weights for other settings or classes serve as
            well: of the latter the box head's last layers are taken from `fresh`.

    Raises:
        WeightsError: the weights are for other settings, and `trained` is false; or for another
            kind of model.
        WeightsMismatchError: tensors are missing, unexpected, or of another shape.
        OtherClassesError: the classes differ, and `trained` is false.
    """
    # Checkpoints older than PyTorch 0.4.1 do not count batches; nothing here reads the count.
    state = {name: value for name, value in fresh.items() if name.endswith(STEPS)}
    compared = _compared(checkpoint, configuration, trained=trained)
    state |= compared.state
    layers = _class_layers(checkpoint, state, fresh, classes)
    state |= layers.changed
    check_state(state, fresh)
    if layers.difference and not trained:
        raise OtherClassesError(layers.difference)
    other_variant = _other_variant(checkpoint.variant, variant)
    if other_variant and not trained:
        raise WeightsError(
            f"base.weights: {other_variant}",
            f"set detector.variant to {checkpoint.variant}; or add base.train, to adapt the base",
        )
    notes = (*checkpoint.notes, *compared.notes, layers.note, other_variant)
    return Adapted(state, tuple(filter(None, notes)))


def _compared(
    checkpoint: Checkpoint, configuration: Settings | None, *, trained: bool
) -> Comparison:
    """The checkpoint's weights for this detector's pixels, and what is to be noted of them."""
    if checkpoint.configuration is None or configuration is None:
        return Comparison(state=checkpoint.state)
    found = compare(checkpoint.configuration, configuration, checkpoint.state)
    refuse_differences("base.weights", found, trained=trained)
    return replace(found, notes=[*found.notes, *found.adaptable])


@dataclass(frozen=True, slots=True)
class _ClassLayers:
    """What makes the class layers fit the data set's classes.

    Attributes:
        changed: tensors to replace.
        note: of what was done or assumed; empty if the classes are the same.
        difference: why the checkpoint's own layers cannot be used; empty if they can.
    """

    changed: State = field(default_factory=dict)
    note: str = ""
    difference: str = ""


def _class_layers(
    checkpoint: Checkpoint,
    state: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
    classes: Sequence[str],
) -> _ClassLayers:
    given, wanted = _comparable(checkpoint, state), _canonical(classes)
    difference = _other_names(given, wanted) or _other_shape(state, fresh, len(wanted))
    if difference:
        initial = {name: fresh[name].clone() for name in _class_layer_names(fresh, state)}
        note = f"the class layers are initialised afresh: {difference}"
        return _ClassLayers(initial, note, difference)
    if given is None:
        names = checkpoint.classes
        return _ClassLayers(note=_UNKNOWN if names is None else _unfit_names(names))
    if given == wanted:
        return _ClassLayers()
    note = (
        "the rows of the class layers were put into the data set's order by name; the "
        f"checkpoint's is {listed(given)}"
    )
    return _ClassLayers(reordered(state, [given.index(name) for name in wanted]), note)


def _other_variant(given: DetectorVariant, wanted: DetectorVariant) -> str:
    """Say how the variants differ; nothing if they do not."""
    if given is wanted:
        return ""
    return (
        f"the weights are for anchors and RoIAlign of detector.variant {given}, this detector's "
        f"are {wanted}'s"
    )


def _unfit_names(names: Sequence[str]) -> str:
    return (
        f"the checkpoint names {len(names)} classes, which do not go with the rows of its class "
        "layers: they are taken to be the data set's, in its order"
    )


def _canonical(names: Sequence[str]) -> tuple[str, ...]:
    """The names with one spelling for each character, composed or not."""
    return tuple(normalize("NFC", name) for name in names)


def _comparable(checkpoint: Checkpoint, state: Mapping[str, Tensor]) -> tuple[str, ...] | None:
    """The checkpoint's class names, if there is one for each row but the background's."""
    scores = [value for name, value in state.items() if _SCORES.fullmatch(name)]
    if checkpoint.classes is None or not scores:
        return None
    names = _canonical(checkpoint.classes)
    fit = all(len(names) + 1 == value.shape[0] for value in scores)
    return names if fit and max(Counter(names).values()) == 1 else None


def _other_names(given: tuple[str, ...] | None, wanted: tuple[str, ...]) -> str:
    """Say which classes differ; nothing if none does, or the checkpoint's are not known."""
    absent = [name for name in wanted if given is not None and name not in given]
    extra = [name for name in given or () if name not in wanted]
    kinds = (("lack", absent), ("also have", extra))
    said = "; they ".join(f"{kind} {listed(names)}" for kind, names in kinds if names)
    return said and f"the checkpoint's classes are not the data set's: they {said}"


def _other_shape(state: Mapping[str, Tensor], fresh: Mapping[str, Tensor], classes: int) -> str:
    """Say which class layer is of another shape than the data set's classes need, if one is."""
    for name in _class_layer_names(fresh, state):
        if state[name].shape != fresh[name].shape:
            return (
                f"the checkpoint's class layers do not fit the data set's {classes} classes: "
                f"{name} is {tuple(state[name].shape)}, not {tuple(fresh[name].shape)}"
            )
    return ""


def _class_layer_names(fresh: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """The class layers' tensors, scores first."""
    return [
        name
        for pattern in (_SCORES, _BOXES)
        for name in fresh
        if pattern.fullmatch(name) and name in state
    ]
