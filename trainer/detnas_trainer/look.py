"""A look at a data set and at this machine, for `detnas init`: no search, no store."""

from collections.abc import Callable

import torch

from detnas.own_data.coco_json import DataError
from detnas.records.look import LookAnswer, LookRequest, TimedStep
from detnas.records.results import SplitSummary
from detnas_trainer.data.check import check_split_images, read_splits, summary
from detnas_trainer.training.step_time import seconds_per_image


def look(request: LookRequest, advance: Callable[[int, int], None]) -> LookAnswer:
    """Check the data set as the prepare job does, and time a training step.

    Args:
        request: what to check and to time.
        advance: called with the images that are checked, and all there are.
    """
    problem, splits, images = _checked(request, advance)
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else range(0)
    return LookAnswer(
        problem=problem,
        splits=splits,
        images=images,
        gpus=tuple(map(torch.cuda.get_device_name, gpus)),
        seconds_per_image=_seconds(request.on_gpu if gpus else request.on_cpu),
    )


def _seconds(step: TimedStep) -> float:
    return seconds_per_image(
        step.architecture, step.detector, step.classes, step.resolutions, step.batch
    )


def _checked(
    request: LookRequest, advance: Callable[[int, int], None]
) -> tuple[str, dict[str, SplitSummary], tuple[str, ...]]:
    """The annotations' problem, what each split holds, and what is wrong with images."""
    if request.data is None:
        return "", {}, ()
    try:
        splits = read_splits(request.data)
    except DataError as error:
        return str(error), {}, ()
    checked = check_split_images(request.data, splits, request.resolutions, advance)
    found: dict[str, SplitSummary] = {
        name: summary(split, checked[name]) for name, split in splits.items()
    }
    lines = [f"{line}; {remedy}" for one in checked.values() for line, remedy in one.problems]
    return "", found, tuple(dict.fromkeys(lines))
