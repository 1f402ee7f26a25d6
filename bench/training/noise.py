"""Images of noise with boxes: in memory, ready for a detector, or as a data set of JPEG files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from detnas.records.settings import DataLocation
from detnas_trainer.data.detection_data import Batch, collate
from detnas_trainer.data.draws import Sample
from detnas_trainer.openmmlab import DetDataSample, InstanceData

BOXES = 5
"""Of each image."""


class NoiseImages:
    """Images in memory, as `DetectionData` gives them; indexed by `Sample`, or by number.

    Args:
        count: of them.
        size: width and height, in pixels.
        classes: of the boxes.
    """

    _lasting = None  # no loading processes that outlive one iteration

    def __init__(self, count: int, size: tuple[int, int], classes: int) -> None:
        self._items = [_item(number, size, classes) for number in range(count)]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, sample: Sample | int) -> dict[str, Any]:
        pixels, annotated = self._items[sample if isinstance(sample, int) else sample.image]
        return {"inputs": pixels, "data_samples": annotated.clone()}

    def batch(self, size: int) -> Batch:
        """The first images as a batch."""
        return collate([self[number] for number in range(size)])


def _item(number: int, size: tuple[int, int], classes: int) -> tuple[torch.Tensor, DetDataSample]:
    width, height = size
    generator = torch.Generator().manual_seed(number)
    scale = torch.tensor(size)
    corners = torch.rand(BOXES, 2, generator=generator) * scale / 2
    sides = scale / 8 + torch.rand(BOXES, 2, generator=generator) * 3 * scale / 8
    annotated = DetDataSample(metainfo={"img_shape": (height, width), "scale_factor": (1.0, 1.0)})
    annotated.gt_instances = InstanceData(
        bboxes=torch.cat([corners, corners + sides], dim=1),
        labels=torch.randint(classes, (BOXES,), generator=generator),
    )
    pixels = torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8)
    return pixels, annotated


def write_noise_data(
    folder: Path, counts: tuple[int, int], size: tuple[int, int], classes: Sequence[str]
) -> DataLocation:
    """Write a data set of JPEG files that take about as long to decode as photographs.

    Args:
        folder: where to.
        counts: training and validation images.
        size: width and height, in pixels.
        classes: names.
    """
    for split, count in zip(("train", "val"), counts, strict=True):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            _write_image(folder / split / f"{number}.jpg", size, number)
        document = _document(count, size, classes)
        (folder / f"{split}.json").write_text(json.dumps(document))
    return DataLocation(
        root=str(folder),
        train="train.json",
        val="val.json",
        train_images="train",
        val_images="val",
    )


def _write_image(path: Path, size: tuple[int, int], seed: int) -> None:
    random = np.random.default_rng(seed)
    width, height = size
    coarse = random.integers(0, 256, (max(1, height // 16), max(1, width // 16), 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = random.integers(-8, 9, (height, width, 3), dtype=np.int16)
    cv2.imwrite(str(path), np.clip(smooth + grain, 0, 255).astype(np.uint8))


def _document(count: int, size: tuple[int, int], classes: Sequence[str]) -> dict[str, Any]:
    width, height = size
    numbers = range(1, count + 1)
    return {
        "images": [
            {"id": n, "file_name": f"{n - 1}.jpg", "width": width, "height": height}
            for n in numbers
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(classes, 1)],
        "annotations": [
            _annotation(n, box, size, len(classes)) for n in numbers for box in range(BOXES)
        ],
    }


def _annotation(image: int, box: int, size: tuple[int, int], classes: int) -> dict[str, Any]:
    width, height = size[0] // 4, size[1] // 4
    return {
        "id": image * BOXES + box,
        "image_id": image,
        "category_id": 1 + (image + box) % classes,
        "bbox": [box * width // 2, box * height // 2, width, height],
        "area": width * height,
        "iscrowd": 0,
    }
