"""The classes of a teacher, by their names in the data set's order."""

from collections.abc import Mapping, Sequence
from unicodedata import normalize

from torch import Tensor

from detnas_trainer.weights import State, WeightsError, listed

_COORDINATES = 4


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


def reordered(state: Mapping[str, Tensor], order: Sequence[int], head: str) -> State:
    """The class layers of a box head with the rows of ``order``; background stays the last.

    Args:
        state: of the detector.
        order: which row each class takes.
        head: prefix of the head's names.
    """
    boxes = [_COORDINATES * row + side for row in order for side in range(_COORDINATES)]
    scores = [*order, len(order)]
    found: State = {}
    for kind in ("weight", "bias"):
        found[f"{head}fc_cls.{kind}"] = state[f"{head}fc_cls.{kind}"][scores]
        regression = state[f"{head}fc_reg.{kind}"]
        if len(regression) > _COORDINATES or len(order) == 1:
            found[f"{head}fc_reg.{kind}"] = regression[boxes]
    return found
