"""A data set of plain bytes: whoever compares files does not decode them."""

import json
from collections.abc import Mapping
from pathlib import Path

from detnas.data_identity import PreparedData, list_images
from detnas.data_identity.files import annotation_file, image_folder
from detnas.records.settings import SPLITS, DataLocation, Split
from detnas.store.durable_files import sha256_of

Names = Mapping[Split, list[str]]
NAMES: Names = {"train": ["b.png", "sub/a.png", "ü.png"], "val": ["v.png"]}
THREE: Names = {**NAMES, "test": ["t.png", "u.png"]}


def write_files(root: Path, names: Names = NAMES) -> DataLocation:
    """Write annotations and images below a folder; each image has 16 bytes of its own."""
    location = DataLocation(
        root=str(root),
        train="labels/train.json",
        val="labels/val.json",
        train_images="train",
        val_images="val",
        **({"test": "labels/test.json", "test_images": "test"} if "test" in names else {}),
    )
    for split in location.splits:
        path = annotation_file(location, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"images": [{"file_name": name} for name in names[split]]}))
        for name in names[split]:
            image = image_folder(location, split) / name
            image.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(f"{split} {name} {'.' * 16}".encode()[:16])
    return location


def seen(location: DataLocation, names: Names = NAMES) -> PreparedData:
    """What the prepare job would say of it."""
    digests = tuple(sha256_of(annotation_file(location, split)) for split in SPLITS)
    return PreparedData(digests, list_images(location, names))
