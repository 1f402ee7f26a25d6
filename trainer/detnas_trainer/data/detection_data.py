"""A COCO data set as samples of any drawn size, and batches of them."""

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from detnas.records.settings import DataLocation, Resolution
from detnas_trainer.data.annotations import DataError
from detnas_trainer.data.draws import Sample
from detnas_trainer.openmmlab import (
    CocoDataset,
    Compose,
    DetDataSample,
    LoadAnnotations,
    PackDetInputs,
    RandomFlip,
    Resize,
    imread,
)

_CACHE_BYTES = 512 << 20
_LOADING_SECONDS = 900.0
"""After which a batch does not come any more: its worker process is stuck."""

_META = (
    "img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction",
)  # fmt: skip


class Batch(TypedDict):
    """What mmdet's data preprocessor takes: images (3, H, W) of uint8, BGR, and their boxes."""

    inputs: list[Tensor]
    data_samples: list[DetDataSample]


class DetectionData(Dataset[dict[str, Any]]):
    """One split; indexed by `Sample`, so that size and mirroring come from outside.

    Training leaves images without boxes out, as mmdet does.

    Args:
        location: where the data set lies.
        split: which of its two parts.
        classes: class names as `read_split` orders them.
    """

    def __init__(
        self, location: DataLocation, split: Literal["train", "val"], classes: Sequence[str]
    ) -> None:
        root = Path(location.root)
        train = split == "train"
        self.annotations = root / (location.train if train else location.val)
        images = root / (location.train_images if train else location.val_images)
        with quiet():
            self._coco = CocoDataset(
                ann_file=str(self.annotations),
                data_prefix={"img": str(images)},
                metainfo={"classes": tuple(classes)},
                filter_cfg={"filter_empty_gt": train},
                test_mode=not train,
                pipeline=[],
                # Only worker processes gain from data in one block, and it costs time.
                serialize_data=default_workers() > 0,
            )
        if len(self._coco.cat_ids) != len(classes):
            raise DataError(
                f"{split}: {self.annotations} has {len(self._coco.cat_ids)} of the "
                f"{len(classes)} classes",
                "give the data set that the search was started with",
            )
        self._decoded: dict[str, NDArray[np.uint8]] = {}
        self._decoded_bytes = 0

    def __len__(self) -> int:
        return len(self._coco)

    @property
    def category_ids(self) -> tuple[int, ...]:
        """COCO's id of each class."""
        return tuple(self._coco.cat_ids)

    def samples(self, resolution: Resolution) -> list[Sample]:
        """Every image once, in order, at one size."""
        return [Sample(image, resolution) for image in range(len(self))]

    def __getitem__(self, sample: Sample) -> dict[str, Any]:
        """The image and its boxes, resized within the sample's size at its own aspect ratio."""
        record = self._coco.get_data_info(sample.image)
        image = self._image(record["img_path"])
        record["img"] = image
        record["img_shape"] = record["ori_shape"] = image.shape[:2]
        packed = _transform(sample.resolution, sample.flipped)(record)
        assert packed is not None
        return packed

    def _image(self, path: str) -> NDArray[np.uint8]:
        if path in self._decoded:
            return self._decoded[path]
        image = imread(path) if Path(path).is_file() else None
        if image is None:
            raise DataError(f"image {path} is missing or can not be read", "restore the file")
        # Small data sets are decoded once; of large ones the first images stay.
        if self._decoded_bytes + image.nbytes <= _CACHE_BYTES:
            self._decoded[path] = image
            self._decoded_bytes += image.nbytes
        return image


def batches(
    data: DetectionData, draws: Iterable[Sequence[Sample]], workers: int | None = None
) -> Iterator[Batch]:
    """Load batch after batch, in order.

    Args:
        data: where the images come from.
        draws: the samples of each batch.
        workers: processes that load ahead; 0 loads in this one.
    """
    if workers is None:
        workers = default_workers()
    if not workers:
        yield from (collate([data[sample] for sample in batch]) for batch in draws)
        return
    loader = DataLoader(
        data,
        batch_sampler=draws,  # type: ignore[arg-type]  # drawn as they are needed
        num_workers=workers,
        collate_fn=_shared,
        timeout=_LOADING_SECONDS,
    )
    yield from loader


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
    """The same in a worker process, the images in shared memory, on their way to the trainer.

    Where there is no room for them this is an error here and now. Left to the queue, it would
    only end the queue's own thread, and the trainer would wait for the batch for ever.
    """
    batch = collate(samples)
    for image in batch["inputs"]:
        image.share_memory_()
    return batch


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what COCO's tools print about themselves off the log."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@lru_cache(maxsize=64)
def _transform(resolution: Resolution, flipped: bool) -> Compose:
    # At probability 1 the flip is no draw any more: the draw is the sample's.
    steps: list[Any] = [
        LoadAnnotations(with_bbox=True),
        Resize(scale=(resolution.width, resolution.height), keep_ratio=True),
    ]
    if flipped:
        steps.append(RandomFlip(prob=1.0))
    return Compose([*steps, PackDetInputs(meta_keys=_META)])
