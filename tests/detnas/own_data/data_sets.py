"""Tiny data sets in each format, made of coloured rectangles."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog", "bird")


def draw(path: Path, size: tuple[int, int] = (64, 48), **saved: Any) -> None:
    """An image of noise that no other image equals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(str(path).encode())
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **saved)


def coco(
    names: Sequence[str], classes: Sequence[str] = CLASSES, size: tuple[int, int] = (64, 48)
) -> dict[str, Any]:
    """A document with two boxes in every image, of classes in turn."""
    boxes: list[dict[str, Any]] = []
    for number in range(len(names)):
        for turn in range(2):
            side = 10 + (number + turn) % 7
            boxes.append(
                {
                    "id": len(boxes) + 1,
                    "image_id": number + 1,
                    "category_id": (number + turn) % len(classes) + 1,
                    "bbox": [4 + 20 * turn, 5, side, side + 2],
                    "area": side * (side + 2),
                    "iscrowd": 0,
                }
            )
    return {
        "images": [
            {"id": n, "file_name": name, "width": size[0], "height": size[1]}
            for n, name in enumerate(names, 1)
        ],
        "annotations": boxes,
        "categories": [{"id": n, "name": name} for n, name in enumerate(classes, 1)],
    }


def make_coco(root: Path, splits: dict[str, int], images: str = "images") -> Path:
    """A COCO data set with so many images in each split; all images lie in one folder."""
    for split, count in splits.items():
        names = [f"{split}{n:03}.png" for n in range(count)]
        for name in names:
            draw(root / images / name)
        (root / f"{split}.json").write_text(json.dumps(coco(names)))
    return root


def make_yolo(root: Path, splits: dict[str, int]) -> Path:
    """The same boxes as YOLO has them, with data.yaml."""
    for split, count in splits.items():
        document = coco([f"{split}{n:03}.png" for n in range(count)])
        for image in document["images"]:
            draw(root / "images" / split / image["file_name"])
            lines = [
                f"{box['category_id'] - 1} {(x + w / 2) / 64} {(y + h / 2) / 48} {w / 64} {h / 48}"
                for box in document["annotations"]
                if box["image_id"] == image["id"]
                for x, y, w, h in [box["bbox"]]
            ]
            label = root / "labels" / split / f"{Path(image['file_name']).stem}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("\n".join(lines))
    named = "".join(f"{split}: images/{split}\n" for split in splits)
    (root / "data.yaml").write_text(f"path: .\n{named}names: [cat, dog, bird]\n")
    return root


def make_voc(root: Path, splits: dict[str, int]) -> Path:
    """The same boxes as Pascal VOC has them, with lists of the splits."""
    for split, count in splits.items():
        document = coco([f"{split}{n:03}.png" for n in range(count)])
        stems = []
        for image in document["images"]:
            draw(root / "JPEGImages" / image["file_name"])
            stems.append(Path(image["file_name"]).stem)
            objects = "".join(
                f"<object><name>{CLASSES[box['category_id'] - 1]}</name><bndbox>"
                f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
                "</bndbox></object>"
                for box in document["annotations"]
                if box["image_id"] == image["id"]
                for x, y, w, h in [box["bbox"]]
            )
            path = root / "Annotations" / f"{stems[-1]}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"<annotation>{objects}</annotation>")
        lists = root / "ImageSets" / "Main" / f"{split}.txt"
        lists.parent.mkdir(parents=True, exist_ok=True)
        lists.write_text("".join(f"{stem}\n" for stem in stems))
    return root


def make_saved(root: Path, splits: dict[str, int], *, by_object: bool = False) -> Path:
    """The same boxes in a dataset that `datasets` saved; ``val`` is called ``validation``."""
    import datasets

    fields = {
        "bbox": datasets.List(datasets.Value("float32"), length=4),
        "category": datasets.ClassLabel(names=list(CLASSES)),
    }
    by_field = {name: datasets.List(one) for name, one in fields.items()}
    objects = datasets.List(fields) if by_object else by_field
    features = datasets.Features({"image": datasets.Image(), "objects": objects})
    made = {}
    for split, count in splits.items():
        document, rows = coco([f"{n}.png" for n in range(count)]), []
        for image in document["images"]:
            path = root.parent / f"{split}{image['id']}.png"
            draw(path)
            boxes = [
                {"bbox": box["bbox"], "category": box["category_id"] - 1}
                for box in document["annotations"]
                if box["image_id"] == image["id"]
            ]
            columns = {name: [box[name] for box in boxes] for name in fields}
            rows.append({"image": str(path), "objects": boxes if by_object else columns})
        made["validation" if split == "val" else split] = datasets.Dataset.from_list(
            rows, features=features
        )
    one = datasets.DatasetDict(made) if len(made) > 1 else next(iter(made.values()))
    one.save_to_disk(str(root))
    return root


def boxes_by_image(document: dict[str, Any]) -> dict[str, list[tuple[str, list[float]]]]:
    """Class and box of each object, by the image's name without its folder."""
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    images = {image["id"]: Path(image["file_name"]).name for image in document["images"]}
    found: dict[str, list[tuple[str, list[float]]]] = {name: [] for name in images.values()}
    for box in document["annotations"]:
        sides = [round(side, 3) for side in box["bbox"]]
        found[images[box["image_id"]]].append((names[box["category_id"]], sides))
    return {name: sorted(boxes) for name, boxes in found.items()}
