"""A COCO data set as samples of any drawn size, and batches of them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from detnas.data_identity.files import annotation_file, image_folder
from detnas.own_data.coco_json import DataError
from detnas.records.settings import DataLocation, Resolution, Split
from detnas_trainer.data.annotations import AnnotatedSplit, read_split
from detnas_trainer.data.draws import Groups, Sample
from detnas_trainer.data.images import read_image
from detnas_trainer.openmmlab import (
    Compose,
    DetDataSample,
    LoadAnnotations,
    PackDetInputs,
    RandomFlip,
    Resize,
)
from detnas_trainer.weights import listed

_CACHE_BYTES = 512 << 20
_LOADING_SECONDS = 900.0
"""After this time a batch will not come: its worker process is stuck."""

_META = (
    "img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction",
)  # fmt: skip


class Batch(TypedDict):
    """What mmdet's data preprocessor takes: images (3, H, W) of uint8, BGR, and their boxes."""

    inputs: list[Tensor]
    data_samples: list[DetDataSample]


class DetectionData(Dataset[dict[str, Any]]):
    """One split; indexed by `Sample`, which gives size and mirroring.

    Training leaves images without annotations out, as mmdet does.

    Raises:
        DataError: the annotations cannot be used, or have other classes.
    """

    def __init__(self, location: DataLocation, name: Split, classes: Sequence[str]) -> None:
        train = name == "train"
        path = annotation_file(location, name)
        self._folder = image_folder(location, name)
        self.split = read_split(path, name)
        if self.split.classes != tuple(classes):
            found, expected = (
                listed([*map(repr, names)]) for names in (self.split.classes, classes)
            )
            raise DataError(
                f"{name}: {path} lists the classes {found}, the search began with {expected}",
                "give the data set that the search was started with",
            )
        self._files = list(self.split.files)
        self._rows = _rows_by_image(self.split)
        # Positions in the file of the images in use.
        annotated = set(self.split.boxes.images.tolist())
        self._images = [
            image for image in range(len(self._files)) if image in annotated or not train
        ]
        self._decoded: dict[str, NDArray[np.uint8]] = {}
        self._decoded_bytes = 0
        self._lasting: tuple[_Draws, DataLoader[Any]] | None = None

    def __len__(self) -> int:
        return len(self._images)

    def samples(self, resolution: Resolution, by_shape: bool = False) -> list[Sample]:
        """Every image once, at one size.

        Args:
            resolution: the size.
            by_shape: from the widest image to the tallest, so that batches are padded little;
                otherwise in the file's order.
        """
        order = np.argsort(self._tallness(), kind="stable") if by_shape else range(len(self))
        return [Sample(int(image), resolution) for image in order]

    def groups(self, by_orientation: bool) -> Groups:
        """The images whose batches are drawn together: of one orientation, or all of them.

        A square image is with those that are wider than high.
        """
        if not by_orientation:
            return (np.arange(len(self)),)
        portrait = self._tallness() > 1
        return tuple(g for g in map(np.flatnonzero, (~portrait, portrait)) if len(g))

    def _tallness(self) -> NDArray[np.float64]:
        """Height over width of each image."""
        sizes = list(self.split.files.values())
        return np.array([sizes[image][1] / sizes[image][0] for image in self._images])

    def __getitem__(self, sample: Sample) -> dict[str, Any]:
        """The image and its boxes, resized within the sample's size at its own aspect ratio."""
        position = self._images[sample.image]
        name = self._files[position]
        image = self._image(name)
        record = {
            "img": image,
            "img_id": self.split.image_numbers[position],
            "img_path": str(self._folder / name),
            "img_shape": image.shape[:2],
            "ori_shape": image.shape[:2],
            "instances": self._instances(position),
        }
        packed = _transform(sample.resolution, sample.flipped)(record)
        assert packed is not None
        return packed

    def picture(self, image: int) -> NDArray[np.uint8]:
        """An image as it is, (height, width, 3) of BGR; named as in a `Sample`."""
        return self._image(self._files[self._images[image]])

    @contextmanager
    def lasting_workers(self) -> Iterator[None]:
        """Let the same processes load every batch of the block, one iteration after the other.

        They are not started again for each resolution, and keep the images that they have decoded.
        Within another such block its processes serve.
        """
        workers = default_workers()
        if not workers or self._lasting:
            yield
            return
        draws = _Draws()
        self._lasting = draws, _loader(self, draws, workers, lasting=True)
        try:
            yield
        finally:
            self._lasting = None  # the processes end

    def _instances(self, position: int) -> list[dict[str, Any]]:
        """An image's boxes in mmdet's form."""
        boxes, rows = self.split.boxes, self._rows[position]
        return [
            {"bbox": corners, "bbox_label": label, "ignore_flag": int(crowd)}
            for corners, label, crowd in zip(
                boxes.corners[rows].tolist(),
                boxes.labels[rows].tolist(),
                boxes.crowds[rows].tolist(),
                strict=True,
            )
        ]

    def _image(self, name: str) -> NDArray[np.uint8]:
        if name in self._decoded:
            return self._decoded[name]
        image = read_image(self._folder, name)
        # Small data sets are decoded once; of large ones the first images stay.
        if self._decoded_bytes + image.nbytes <= _CACHE_BYTES:
            self._decoded[name] = image
            self._decoded_bytes += image.nbytes
        return image


def batches(
    data: DetectionData, draws: Iterable[Sequence[Sample]], workers: int | None = None
) -> Iterator[Batch]:
    """Load batch after batch, in order.

    Args:
        data: where the images come from.
        draws: the samples of each batch.
        workers: processes that load ahead; 0 loads in this one. By default those of
            `DetectionData.lasting_workers`, or new ones.
    """
    if workers is None and data._lasting:
        lasting, loader = data._lasting
        lasting.current = draws
        yield from loader
        return
    if workers is None:
        workers = default_workers()
    if not workers:
        yield from (collate([data[sample] for sample in batch]) for batch in draws)
        return
    yield from _loader(data, draws, workers)


class _Draws:
    """A sampler of batches whose draws are given anew before each iteration."""

    def __init__(self) -> None:
        self.current: Iterable[Sequence[Sample]] = ()

    def __iter__(self) -> Iterator[Sequence[Sample]]:
        return iter(self.current)


def _loader(
    data: DetectionData,
    draws: Iterable[Sequence[Sample]],
    workers: int,
    *,
    lasting: bool = False,
) -> DataLoader[Any]:
    return DataLoader(
        data,
        batch_sampler=draws,  # type: ignore[arg-type]  # drawn as they are needed
        num_workers=workers,
        collate_fn=_shared,
        timeout=_LOADING_SECONDS,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=lasting,
    )


def default_workers() -> int:
    """No worker process on a CPU, whose cores the training itself keeps busy; 4 beside a GPU."""
    return 4 if torch.cuda.is_available() else 0


def collate(samples: Sequence[dict[str, Any]]) -> Batch:
    """Put samples together; the data preprocessor pads and stacks them."""
    return {
        "inputs": [sample["inputs"] for sample in samples],
        "data_samples": [sample["data_samples"] for sample in samples],
    }


def _shared(samples: Sequence[dict[str, Any]]) -> Batch:
    """Put samples together in a worker process, with the images in shared memory.

    A lack of room is then an error here. In the queue it would only end the queue's own thread, and
    the trainer would wait for the batch forever.
    """
    batch = collate(samples)
    for image in batch["inputs"]:
        image.share_memory_()
    return batch


def _rows_by_image(split: AnnotatedSplit) -> list[NDArray[np.int64]]:
    """For each image, the positions in the file of its boxes that training uses."""
    used = np.flatnonzero(split.boxes.used)
    used = used[np.argsort(split.boxes.images[used], kind="stable")]
    ends = np.searchsorted(split.boxes.images[used], np.arange(1, len(split.files)))
    return np.split(used, ends)


@lru_cache(maxsize=64)
def _transform(resolution: Resolution, flipped: bool) -> Compose:
    # With probability 1 the flip draws nothing: the sample was drawn with it.
    steps: list[Any] = [
        LoadAnnotations(with_bbox=True),
        Resize(scale=(resolution.width, resolution.height), keep_ratio=True),
    ]
    if flipped:
        steps.append(RandomFlip(prob=1.0))
    return Compose([*steps, PackDetInputs(meta_keys=_META)])
