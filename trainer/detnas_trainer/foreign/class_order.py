"""Classes in the data set's order: those of a teacher by name, and the rows of class layers."""

import re
from collections.abc import Mapping, Sequence
from unicodedata import normalize

from torch import Tensor

from detnas_trainer.weights import State, WeightsError, listed

_COORDINATES = 4
_CLASS_LAYER = re.compile(r"roi_head\.bbox_head\.(\d+\.)?fc_(?P<layer>cls|reg)\.(weight|bias)")
"""Of a box head, or of each stage of a cascade."""


def order_of_classes(
    given: Sequence[str] | None, wanted: Sequence[str], rows: int
) -> tuple[list[int], str]:
    """Which of the given classes each wanted one is, and a note for people.

    Args:
        given: names of a teacher's classes; None if they are unknown.
        wanted: names of the data set's.
        rows: classes that the teacher distinguishes.

    Raises:
        WeightsError: they are not the same classes.
    """
    remedy = "give a teacher that was trained on the data set's classes"
    if rows != len(wanted):
        raise WeightsError(
            f"the teacher distinguishes {rows} classes, the data set has {len(wanted)}", remedy
        )
    if given is None or len(given) != rows:
        return list(range(rows)), (
            "the teacher does not name its classes: they are taken to be the data set's, in its "
            "order"
        )
    theirs, ours = ([normalize("NFC", name) for name in names] for names in (given, wanted))
    if absent := [name for name in ours if name not in theirs]:
        raise WeightsError(f"the teacher does not know the classes {listed(absent)}", remedy)
    order = [theirs.index(name) for name in ours]
    note = "the teacher's classes were put into the data set's order by name"
    return order, "" if order == list(range(rows)) else note


def reordered(state: Mapping[str, Tensor], order: Sequence[int]) -> State:
    """The class layers of all box heads with the rows of ``order``; background stays the last.

    Box regression that all classes share has no rows of its own for them, and is left out.

    Args:
        state: of the detector, with mmdet's names.
        order: which row, or four of box regression, each class takes.
    """
    boxes = [_COORDINATES * row + side for row in order for side in range(_COORDINATES)]
    found: State = {}
    for name, value in state.items():
        layer = _CLASS_LAYER.fullmatch(name)
        if layer and layer["layer"] == "cls":
            found[name] = value[[*order, len(order)]]
        elif layer and len(value) == len(boxes):
            found[name] = value[boxes]
    return found
