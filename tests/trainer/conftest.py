"""A data set of a few tiny images, a detector that trains in seconds, and jobs in a store."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from detnas.architecture import Family, parse
from detnas.records.progress import Progress
from detnas.records.requests import (
    BaseRequest,
    ExportRequest,
    ExtractRequest,
    PoolPhaseRequest,
    PrepareRequest,
    StudentRequest,
    SubnetsRequest,
)
from detnas.records.results import AnyResult, Attempt
from detnas.records.settings import DataLocation, DetectorShape, Resolution, Training
from detnas.records.verbs import REQUEST_KINDS
from detnas.store import Store, open_store
from detnas.store.artifacts import create_record, fetch_artifact, load_record
from detnas.store.record_format import decode_record
from detnas.teachers import SupernetShape, TeacherSpace
from detnas_trainer import jobs, mmcv_ext
from detnas_trainer.training.interruption import Interrupted, Interruption
from detnas_trainer.weights import load_weights

mmcv_ext.install()  # before any test imports mmdet

SIDE = 64
CLASSES = ("disc", "square")
CATEGORY_IDS = (3, 7)  # with holes, as COCO's own are
TRAINS = ("seed", "training")
"""Fields of requests that train."""
SHAPE = SupernetShape(
    family=Family.BASIC, stem=6, inner=(8, 8, 8, 8), outputs=(8, 12, 12, 16), neck=8
)
SPACE = TeacherSpace(
    min_depths=(1, 1, 1, 1), max_depths=(1, 2, 1, 1), widths=(Decimal("1.0"), Decimal("1.5"))
)


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


def write_data_set(root: Path, train: int = 12, val: int = 6, test: int = 0) -> DataLocation:
    """Write the splits below ``root``; a test split only of some images."""
    _write_split(root, "train", train, seed=1)
    _write_split(root, "val", val, seed=2)
    unseen = {"test": "test.json", "test_images": "test"} if test else {}
    if test:
        _write_split(root, "test", test, seed=3)
    return DataLocation(
        **unseen,
        root=str(root),
        train="train.json",
        val="val.json",
        train_images="train",
        val_images="val",
    )


@dataclass(frozen=True)
class Workplace:
    """A store, and builders of requests on the tiny data set with a thin detector.

    A test builds a request, changes what it is about, and runs it::

        request = workplace.base_request(KEY, training=training(1))
        assert workplace.run(request) == 0
        assert workplace.result(KEY).outcome is Outcome.SUCCEEDED
    """

    root: Path
    store: Store
    common: dict[str, Any]

    def put(self, request: Any) -> str:
        """Write a request and return the URI of its job."""
        create_record(self.store, f"{request.key}/request.json", request)
        return f"{self.store.uri}/{request.key}"

    def run(self, request: Any) -> int:
        """Write a request, run its job in this process, and return the exit code."""
        verb = next(verb for verb, kind in REQUEST_KINDS.items() if kind == request.kind)
        return jobs.run(verb, self.put(request))

    def succeed(self, request: Any) -> Any:
        """Run the job of a request, which must exit with 0, and return its result."""
        assert self.run(request) == 0
        return self.result(request.key)

    def result(self, key: str) -> Any:
        """The result of a job, which must be there."""
        stored = self.store.get(f"{key}/result.json")
        assert stored is not None
        return decode_record(stored.data, key, AnyResult)

    def has_result(self, key: str) -> bool:
        """Whether a job has its result."""
        return self.store.get(f"{key}/result.json") is not None

    def attempt(self, key: str, number: int) -> Attempt | None:
        """What an attempt stored of itself; None if there was no such attempt."""
        return load_record(self.store, f"{key}/attempts/{number}/attempt.json", Attempt)

    def progress(self, key: str, attempt: int = 1) -> Progress:
        """What an attempt reported last."""
        found = load_record(self.store, f"{key}/attempts/{attempt}/progress.json", Progress)
        assert found is not None
        return found

    def weights(self, result: Any) -> dict[str, Tensor]:
        """The weights that a result names."""
        return load_weights(fetch_artifact(self.store, result.weights)).state

    def prepare_request(self, key: str, **changes: Any) -> PrepareRequest:
        """A check of the tiny data set, unless changed."""
        common = {name: self.common[name] for name in ("data", "resolutions")}
        return PrepareRequest(key=key, **{**common, **changes})

    def base_request(self, key: str, **changes: Any) -> BaseRequest:
        """A base job that trains for six steps, unless changed."""
        return BaseRequest(key=key, **{**self.common, "training": training(2), **changes})

    def pool_request(self, key: str, **changes: Any) -> PoolPhaseRequest:
        """A pool's phase of three steps, unless changed."""
        pool = {"supernet": SHAPE, "full_space": SPACE, "space": SPACE, "bn_images": 4}
        return PoolPhaseRequest(key=key, **{**self._trained(), **pool, **changes})

    def student_request(self, key: str, **changes: Any) -> StudentRequest:
        """A trial of three steps on the base's architecture, unless changed."""
        parent = {"parent": self.common["architecture"]}
        return StudentRequest(key=key, **{**self._trained(), **parent, **changes})

    def subnets_request(self, key: str, **changes: Any) -> SubnetsRequest:
        """An evaluation of subnets, from trial 0 on; pool and subnets are still to be named."""
        return SubnetsRequest(key=key, **{**self._evaluated(), "first": 0, **changes})

    def extract_request(self, key: str, **changes: Any) -> ExtractRequest:
        """An extraction of a subnet; pool and subnet are still to be named."""
        return ExtractRequest(key=key, **{**self._evaluated(), **changes})

    def export_request(self, key: str, **changes: Any) -> ExportRequest:
        """An export of the base itself; weights and mAP are still to be named."""
        common = {name: self.common[name] for name in ("data", "classes", "detector")}
        base = self.common["architecture"]
        return ExportRequest(key=key, architecture=base, base=base, **{**common, **changes})

    def _evaluated(self) -> dict[str, Any]:
        return {name: value for name, value in self._trained().items() if name not in TRAINS}

    def _trained(self) -> dict[str, Any]:
        fields = {name: value for name, value in self.common.items() if name != "architecture"}
        return {**fields, "training": training(1)}


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


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Let ``change`` alter the document of a JSON file, such as annotations."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@contextmanager
def stopping() -> Iterator[None]:
    """Within the block, a job is asked to stop at its first safe place, after any step."""

    def interrupt(_: Interruption) -> None:
        raise Interrupted

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETNAS_CHECKPOINT_SECONDS", "0")
        patch.setattr(Interruption, "check", interrupt)
        yield


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
