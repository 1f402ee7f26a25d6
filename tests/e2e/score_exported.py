"""Score an exported detector as a stranger would: with mmdet and pycocotools, and nothing else.

``python -S score_exported.py FOLDER ANNOTATIONS IMAGES`` ends with a line of JSON: what it scores.
"""

import contextlib
import importlib.util
import json
import sys
from pathlib import Path

for name in ("detnas", "detnas_trainer"):
    assert importlib.util.find_spec(name) is None, f"{name} can be imported here"

sys.path.insert(0, sys.argv[1])  # as the folder's README says
import detnas_mmcv_ext  # noqa: E402, F401
from mmdet.apis import DetInferencer  # noqa: E402
from pycocotools.coco import COCO  # noqa: E402
from pycocotools.cocoeval import COCOeval  # noqa: E402


def main() -> None:
    folder, annotations, images = map(Path, sys.argv[1:])
    with contextlib.redirect_stdout(sys.stderr):
        metrics = score(folder, annotations, images)
    print(json.dumps(metrics))


def score(folder: Path, annotations: Path, images: Path) -> dict[str, object]:
    detector = DetInferencer(
        model=str(folder / "detector.py"), weights=str(folder / "detector.pth"), device="cpu"
    )
    truth = COCO(str(annotations))
    categories = {category["name"]: category["id"] for category in truth.dataset["categories"]}
    names = detector.model.dataset_meta["classes"]
    numbers = [categories[name] for name in names]
    found = []
    for image in truth.dataset["images"]:
        path = str(images / image["file_name"])
        predicted = detector(path, no_save_vis=True)["predictions"][0]
        for label, confidence, (left, top, right, bottom) in zip(
            predicted["labels"], predicted["scores"], predicted["bboxes"], strict=True
        ):
            found.append(
                {
                    "image_id": image["id"],
                    "category_id": numbers[label],
                    "bbox": [left, top, right - left, bottom - top],
                    "score": confidence,
                }
            )
    evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {"map": float(evaluation.stats[0]), "classes": list(names), "from": str(Path.cwd())}


if __name__ == "__main__":
    main()
