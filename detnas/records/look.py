"""What `detnas init` asks a trainer on the same machine, and its answer; neither is stored."""

from detnas.architecture import Architecture
from detnas.records.results import SplitSummary
from detnas.records.settings import DataLocation, DetectorShape, Resolution
from detnas.schema import Count, Positive, Schema


class TimedStep(Schema):
    """A training step to be timed.

    Attributes:
        architecture: backbone of the detector.
        detector: its neck and heads.
        classes: of the data set.
        resolutions: sizes of the images; the mean over them is wanted.
        batch: images of a step.
    """

    architecture: Architecture
    detector: DetectorShape
    classes: Positive
    resolutions: tuple[Resolution, ...]
    batch: Positive


class LookRequest(Schema):
    """A data set to check, and steps to time.

    Attributes:
        data: where it is; None if nothing is to be checked.
        resolutions: sizes that images will be resized to.
        on_cpu: the step that is timed if the machine has no GPU.
        on_gpu: the step that is timed if it has.
    """

    data: DataLocation | None = None
    resolutions: tuple[Resolution, ...] = ()
    on_cpu: TimedStep
    on_gpu: TimedStep


class LookProgress(Schema):
    """Images that are checked, of all."""

    done: Count
    total: Count


class LookAnswer(Schema):
    """What the trainer found.

    Attributes:
        problem: why the annotations cannot be used, with what would be right; empty if they can.
        splits: what each split holds, by its name.
        images: what is wrong with images, a line each.
        gpus: name of each GPU.
        seconds_per_image: of the training step, for one image.
    """

    problem: str = ""
    splits: dict[str, SplitSummary] = {}
    images: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    seconds_per_image: float
