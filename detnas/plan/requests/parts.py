"""What the requests of several jobs state alike."""

from typing import Any

from detnas.ledger.entry import LedgerEntry
from detnas.records.results import DetectorResult, PrepareResult
from detnas.records.settings import Precision, Training
from detnas.spec.manifest import SearchSpec
from detnas.spec.teachers import TeacherChoice


def knows_additions(prepared: PrepareResult) -> bool:
    """Whether the search's pinned trainer reads requests with fields added to the first format."""
    return prepared.image_listing is not None


def precise(training: Training, prepared: PrepareResult) -> Training:
    """The schedule with a precision: without one, 32 bits are meant, as by earlier versions."""
    if training.precision is not None or not knows_additions(prepared):
        return training
    return training.model_copy(update={"precision": Precision.AUTO})


def evolves_from(parent: DetectorResult | LedgerEntry) -> dict[str, Any]:
    """Return the fields of a student's request that name its parent."""
    return {
        "parent": parent.architecture,
        "parent_added": parent.added,
        "parent_weights": parent.weights,
    }


def teaches_alone(spec: SearchSpec) -> bool:
    """Whether the external teacher teaches all students."""
    return spec.teachers.choice is TeacherChoice.EXTERNAL


def draws_teachers(spec: SearchSpec) -> bool:
    """Whether each step has another teacher."""
    return spec.teachers.choice is TeacherChoice.PER_ITERATION
