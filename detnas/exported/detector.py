"""An exported file as a detector: from images to boxes in their own pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detnas.errors import UserError
from detnas.exported.description import FolderDescription, load_description
from detnas.exported.preparing import Image, PreparedImage, prepare
from detnas.exported.runtimes import RunFile, open_file
from detnas.records.exports import ExportedFile


@dataclass(frozen=True)
class Detections:
    """What was found in one image, by falling score.

    Attributes:
        boxes: D × 4: left, top, right, bottom, in pixels of the original image.
        scores: D, from 0 to 1.
        labels: D, positions in the list of classes.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class ExportedDetector:
    """An exported file that was loaded.

    Attributes:
        description: of its folder.
        file: the file's own entry there.
        run: runs it.
    """

    description: FolderDescription
    file: ExportedFile
    run: RunFile

    @classmethod
    def load(cls, path: Path, threads: int | None = None) -> "ExportedDetector":
        """Load a file that lies in its exported folder, beside `detector.json`.

        Args:
            path: of the file; of an OpenVINO IR the .xml.
            threads: that one run may use; by default what the runtime takes.

        Raises:
            UserError: a file or the format's runtime is missing.
        """
        description = load_description(path.parent)
        file = description.file(path.name)
        return cls(description, file, open_file(path, file.format, threads))

    def prepare(self, image: Image) -> PreparedImage:
        """The image as the file takes it."""
        return prepare(image, self.description.input, self.file)

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """What is found in each image; each is height × width × 3 of uint8: red, green, blue."""
        return self.detect_prepared([self.prepare(image) for image in images])

    def detect_prepared(self, images: Sequence[PreparedImage]) -> list[Detections]:
        """What is found in images that were resized and padded.

        Raises:
            UserError: more images than the file takes at once.
        """
        limit = self.file.batch
        if limit is not None and len(images) != limit:
            raise UserError(
                f"{self.file.path} takes {limit} image{'s' if limit > 1 else ''} at once, not "
                f"{len(images)}",
                "give as many, or use a file without a batch in detector.json",
            )
        sizes = np.array([image.size for image in images], np.float32)
        found = self.run(_stacked(images), sizes)
        return [
            _in_original_pixels(boxes, scores, labels, image.scale)
            for boxes, scores, labels, image in zip(*found, images, strict=True)
        ]


def _stacked(images: Sequence[PreparedImage]) -> NDArray[np.uint8]:
    """One batch: all as high and as wide as the highest and the widest."""
    shapes = np.array([image.pixels.shape for image in images])
    batch = np.zeros((len(images), *shapes.max(axis=0)), np.uint8)
    for row, image in zip(batch, images, strict=True):
        _, height, width = image.pixels.shape
        row[:, :height, :width] = image.pixels
    return batch


def _in_original_pixels(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    scale: tuple[float, float],
) -> Detections:
    found = scores > 0
    by_side = np.array([*scale, *scale], np.float32)
    return Detections(boxes[found] / by_side, scores[found], labels[found].astype(np.int64))
