"""The validation images that exported files are scored on: all, or a number evenly drawn."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faster_coco_eval import COCO

from detnas.data_identity.files import find_image
from detnas.records.results import Score
from detnas.records.settings import Resolution
from detnas_trainer.bootstrap import Detection
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.evaluation import coco_index, ground_truth, score


@dataclass(frozen=True)
class ScoredImages:
    """Images, and what is to be found in them.

    Attributes:
        truth: their annotations, under the reader's numbers.
        names: file names by these numbers, in the order of the annotation file.
    """

    truth: COCO
    names: dict[int, str]

    def __len__(self) -> int:
        return len(self.names)

    def annotations(self, folder: Path, classes: Sequence[str]) -> dict[str, Any]:
        """The content of an annotation file with the images' absolute paths.

        Args:
            folder: of the images.
            classes: names, in the order of the categories.
        """
        absolute, content = folder.absolute(), dict(self.truth.dataset)
        content["images"] = [
            {"id": number, "file_name": str(find_image(absolute, name))}
            for number, name in self.names.items()
        ]
        content["categories"] = [
            {"id": one["id"], "name": name}
            for one, name in zip(content["categories"], classes, strict=True)
        ]
        return content

    def score(self, detections: Sequence[Detection], resolution: Resolution) -> Score:
        """COCO's metrics on these images alone, of detections in any images."""
        own = [one for one in detections if one["image_id"] in self.names]
        return score(self.truth, own, resolution)


def scored_images(data: DetectionData, limit: int) -> ScoredImages:
    """At most ``limit`` images of a validation split, evenly drawn in the order of its file.

    All, if the drawn ones have no object to be found, since mAP is not defined then.
    """
    truth, split = ground_truth(data), data.split
    names = dict(zip(split.image_numbers, split.files, strict=True))
    every = ScoredImages(truth, names)
    if len(names) <= limit:
        return every
    numbers = [split.image_numbers[rank * len(names) // limit] for rank in range(limit)]
    drawn = {number: names[number] for number in numbers}
    content = dict(truth.dataset)
    content["images"] = [one for one in content["images"] if one["id"] in drawn]
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] in drawn]
    if all(one["iscrowd"] for one in content["annotations"]):
        return every
    return ScoredImages(coco_index(content), drawn)


def difference_error(one: Score, other: Score) -> float | None:
    """Standard error of the difference between two detectors' mAP on the same images.

    None if it is not known: of one image, there is no variation.
    """
    if len(one.replicates) != len(other.replicates) or len(one.replicates) < 2:
        return None
    pairs = zip(one.replicates, other.replicates, strict=True)
    return statistics.stdev(ours - theirs for ours, theirs in pairs)
