"""A data set of a few tiny images, a detector that trains in seconds, and jobs in a store."""

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detnas.architecture import parse
from detnas.records.requests import BaseRequest
from detnas.records.settings import DataLocation, DetectorShape, Resolution, Training
from detnas.store import Store, open_store
from detnas.store.artifacts import create_record, load_record
from detnas_trainer import mmcv_ext

mmcv_ext.install()  # before any test imports mmdet

SIDE = 64
CLASSES = ("disc", "square")
CATEGORY_IDS = (3, 7)  # with holes, as COCO's own are


def _draw(random: np.random.Generator, image_id: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Two bright shapes on dark noise, in opposite halves of the canvas."""
    pixels = random.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
    boxes = []
    for half in range(2):
        label = int(random.integers(2))
        side = int(random.integers(14, 26))
        left = int(random.integers(0, SIDE // 2 - side)) + half * SIDE // 2
        top = int(random.integers(0, SIDE - side))
        colour = (230, 90, 40) if label else (60, 120, 240)
        pixels[top : top + side, left : left + side] = colour
        boxes.append(
            {
                "id": image_id * 10 + half,
                "image_id": image_id,
                "category_id": CATEGORY_IDS[label],
                "bbox": [left, top, side, side],
                "area": side * side,
                "iscrowd": 0,
            }
        )
    return pixels, boxes


def _write_split(root: Path, split: str, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (root / split).mkdir(parents=True)
    for number in range(count):
        image_id = 100 + number
        pixels, boxes = _draw(random, image_id)
        Image.fromarray(pixels).save(root / split / f"{number}.png")
        images.append({"id": image_id, "file_name": f"{number}.png", "width": SIDE, "height": SIDE})
        annotations += boxes
    categories = [
        {"id": number, "name": name} for number, name in zip(CATEGORY_IDS, CLASSES, strict=True)
    ]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (root / f"{split}.json").write_text(json.dumps(document))


def write_data_set(root: Path, train: int = 12, val: int = 6) -> DataLocation:
    """Write both splits below ``root``."""
    _write_split(root, "train", train, seed=1)
    _write_split(root, "val", val, seed=2)
    return DataLocation(
        root=str(root),
        train="train.json",
        val="val.json",
        train_images="train",
        val_images="val",
    )


@dataclass(frozen=True)
class Workplace:
    """A store, and what every request in these tests has in common."""

    root: Path
    store: Store
    common: dict[str, Any]

    def put(self, request: Any) -> str:
        """Write a request and return the URI of its job."""
        create_record(self.store, f"{request.key}/request.json", request)
        return f"{self.store.uri}/{request.key}"

    def result(self, key: str, kind: type[Any]) -> Any:
        """The result of a job, which must be there."""
        found = load_record(self.store, f"{key}/result.json", kind)
        assert found is not None
        return found

    def base_request(self, key: str, **changes: Any) -> BaseRequest:
        """A base job that trains for six steps, unless changed."""
        return BaseRequest(key=key, **{**self.common, "training": training(2), **changes})


def training(epochs: int, **changes: Any) -> Training:
    """A schedule for the tiny data set: three steps an epoch."""
    settings: dict[str, Any] = {
        "epochs": epochs,
        "learning_rate": Decimal("0.01"),
        "batch_size": 4,
    }
    return Training(**{**settings, **changes})


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> DataLocation:
    """Twelve training and six validation images of 64×64, to be read only."""
    return write_data_set(tmp_path_factory.mktemp("tiny-data"))


@pytest.fixture
def own_data(tmp_path: Path) -> DataLocation:
    """The tiny data set, to be damaged."""
    return write_data_set(tmp_path / "data", train=3, val=2)


@pytest.fixture
def workplace(
    tmp_path: Path, tiny_data: DataLocation, monkeypatch: pytest.MonkeyPatch
) -> Workplace:
    """A store in a folder, the tiny data set, and a thin detector."""
    monkeypatch.setenv("DETNAS_CACHE", str(tmp_path / "cache"))
    common = {
        "seed": 5,
        "data": tiny_data,
        "classes": CLASSES,
        "detector": DetectorShape(neck=8, fc=16, proposals=20, roi_samples=16, anchor_scale=2),
        "architecture": parse("[(8, 8)], [(8, 12)], [(8, 12)], [(8, 16)]", stem=8),
        "resolutions": (Resolution(width=48, height=48), Resolution(width=64, height=64)),
        "evaluation_batch": 4,
    }
    return Workplace(tmp_path, open_store((tmp_path / "store").as_uri()), common)
