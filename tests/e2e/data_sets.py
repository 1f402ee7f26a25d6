"""Small data sets, and manifests of searches that take half a minute on them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.trainer.conftest import write_data_set

REPOSITORY = Path(__file__).parents[2]
MAKE_DIGITS = REPOSITORY / "examples" / "digits" / "make_data.py"
Document = dict[str, Any]


def bccd_folder() -> Path:
    """Where the photographs of blood cells lie, if they do."""
    given = os.environ.get("DETNAS_BCCD")
    return Path(given) if given else REPOSITORY.parent / "shared" / "data" / "bccd"


def make_digits(folder: Path, canvases: int) -> Path:
    """Make canvases of digits, by the script that users run; return their folder."""
    data = folder / "digits"
    options = ["--train", str(canvases), "--val", "2"]
    subprocess.run(
        [sys.executable, MAKE_DIGITS, data, *options], check=True, capture_output=True, timeout=120
    )
    return data


def digits_search(folder: Path) -> Path:
    """Write a search on digits and return its manifest.

    It is scored on the images it has learnt from: so short a training finds nothing on others, and
    an mAP of 0 would prove nothing. Category ids have holes, as COCO's own have.
    """
    data = make_digits(folder, canvases=8)
    document = with_holes(json.loads((data / "train.json").read_text()))
    for split in ("train", "val"):
        write_json(data / f"{split}.json", document)
    manifest = digits_manifest()
    manifest["spec"]["dataset"] |= {"source": {"directory": "digits"}}
    return write_manifest(folder, manifest)


def bccd_search(folder: Path) -> Path:
    """Write a search on photographs and return its manifest; the images stay where they are."""
    photographs = bccd_folder()
    data = folder / "cells"
    data.mkdir()
    for split, count in {"train": 16, "val": 8}.items():
        document = json.loads((photographs / f"{split}.json").read_text())
        write_json(data / f"{split}.json", subset(document, document["images"][:count]))
    manifest = digits_manifest()
    spec = manifest["spec"]
    manifest["metadata"]["name"] = "cells"
    images = str(photographs.absolute() / "images")
    spec["dataset"] = {
        "source": {"directory": "cells"},
        "train": "train.json",
        "val": "val.json",
        "trainImages": images,
        "valImages": images,
    }
    spec["resolutions"] = ["128x96", "160x120"]
    spec["detector"]["anchorScale"] = 4
    spec["base"]["train"]["epochs"] = 25
    return write_manifest(folder, manifest)


def digits_manifest() -> Document:
    """The example's detector, with trainings of seconds."""
    return {
        "apiVersion": "detnas.dev/v1alpha1",
        "kind": "DetNASSearch",
        "metadata": {"name": "digits"},
        "spec": {
            "dataset": {
                "source": {"directory": "."},
                "train": "train.json",
                "val": "val.json",
                "trainImages": "images",
                "valImages": "images",
                "horizontalFlip": "0",
            },
            "resolutions": ["64x64", "96x96", "128x128"],
            "detector": {
                "neck": 32, "fc": 128, "proposals": 100, "roiSamples": 64, "anchorScale": 3,
            },
            "base": {
                "family": "Basic",
                "stem": 16,
                "architecture": "[(16, 16)-(16, 16)], [(32, 32)-(32, 32)], "
                "[(64, 64)-(64, 64)], [(128, 128)-(128, 128)]",
                "train": _schedule(40, "0.02", 4) | {"warmupIterations": 30},
            },
            "teachers": {
                "supernet": {
                    "family": "Basic",
                    "stem": 16,
                    "inner": [16, 32, 64, 128],
                    "outputs": [18, 32, 64, 128],
                    "neck": 32,
                },
                "depths": {"min": [1, 1, 1, 1], "max": [2, 2, 2, 2]},
                "widths": ["1.0", "1.25", "1.5"],
                "batchSize": 8,
                "schedule": "Cosine",
                "warmupIterations": 0,
                "bnImages": 4,
                "phases": [
                    {"epochs": 1, "learningRate": "0.02"},
                    {
                        "epochs": 1,
                        "learningRate": "0.01",
                        "minDepths": [2, 2, 1, 1],
                        "widths": ["1.25", "1.5"],
                    },
                    {"epochs": 1, "learningRate": "0.01"},
                ],
            },
            "search": {
                "trials": 5,
                "parallelism": 2,
                "topK": 3,
                "warmupTrials": 1,
                "studentProbability": "0.75",
                "actions": {"channelFraction": "0.1"},
            },
            "evaluation": _schedule(1, "0.002", 4),
            "finetune": _schedule(1, "0.002", 4),
        },
    }  # fmt: skip


def tiny_search(folder: Path) -> Path:
    """Write a search whose every job takes a second or two, and return its manifest."""
    write_data_set(folder / "data")
    return write_manifest(folder, tiny_manifest())


def tiny_manifest(trials: int = 1) -> Document:
    """A detector so thin, and trained so shortly, that it finds nothing."""
    once = _schedule(1, "0.01", 4)
    return {
        "apiVersion": "detnas.dev/v1alpha1",
        "kind": "DetNASSearch",
        "metadata": {"name": "tiny"},
        "spec": {
            "dataset": {
                "source": {"directory": "data"},
                "train": "train.json",
                "val": "val.json",
                "trainImages": "train",
                "valImages": "val",
            },
            "resolutions": ["64x64"],
            "detector": {"neck": 8, "fc": 16, "proposals": 20, "roiSamples": 16, "anchorScale": 2},
            "base": {
                "family": "Basic",
                "stem": 8,
                "architecture": "[(8, 8)], [(8, 12)], [(8, 12)], [(8, 16)]",
                "train": once | {"warmupIterations": 0},
            },
            "teachers": {
                "supernet": {
                    "family": "Basic",
                    "stem": 8,
                    "inner": [8, 8, 8, 8],
                    "outputs": [8, 8, 12, 16],
                    "neck": 8,
                },
                "depths": {"min": [1, 1, 1, 1], "max": [1, 1, 1, 1]},
                "widths": ["1.0"],
                "batchSize": 4,
                "warmupIterations": 0,
                "bnImages": 4,
                "phases": [{"epochs": 1, "learningRate": "0.01"}],
            },
            "search": {"trials": trials, "topK": 1, "warmupTrials": 0},
            "evaluation": once,
        },
    }


def _schedule(epochs: int, rate: str, batch: int) -> Document:
    return {"epochs": epochs, "learningRate": rate, "batchSize": batch, "schedule": "Cosine"}


def subset(document: Document, images: Iterable[Document]) -> Document:
    """The annotations of some of the images."""
    kept = list(images)
    numbers = {image["id"] for image in kept}
    boxes = [box for box in document["annotations"] if box["image_id"] in numbers]
    return {**document, "images": kept, "annotations": boxes}


def with_holes(document: Document) -> Document:
    """The same with category ids 3, 6, 9, …"""
    return {
        **document,
        "categories": [{**one, "id": 3 * one["id"]} for one in document["categories"]],
        "annotations": [
            {**box, "category_id": 3 * box["category_id"]} for box in document["annotations"]
        ],
    }


def edit_json(path: Path, edit: Callable[[Document], None]) -> None:
    """Change a JSON file in place."""
    document = json.loads(path.read_text())
    edit(document)
    write_json(path, document)


def write_json(path: Path, document: object) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(document))


def write_manifest(folder: Path, manifest: Document) -> Path:
    """Write `search.yaml` in the folder."""
    path = folder / "search.yaml"
    path.write_text(yaml.safe_dump(manifest, sort_keys=False))
    return path
