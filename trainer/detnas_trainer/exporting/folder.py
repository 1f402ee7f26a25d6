"""The files of an exported detector."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

import detnas_trainer.backbone
from detnas.architecture import encode
from detnas.cost import detector_cost
from detnas.records.requests import ExportRequest
from detnas_trainer.exporting.config import config_text

BACKBONE = "detnas_backbone"
CONFIG = "detector.py"
CHECKPOINT = "detector.pth"

_README = """# {title}

{origin}

It needs PyTorch and mmdet 3.x, nothing
else; `{backbone}.py` beside this file is the one piece of code it brings along.

```python
from mmdet.apis import DetInferencer

detector = DetInferencer(model="detector.py", weights="detector.pth")
found = detector("photograph.jpg", no_save_vis=True)["predictions"][0]
print(found["labels"], found["scores"], found["bboxes"])  # boxes: left, top, right, bottom
```

Give both files by their paths from wherever you run this.

| | |
| --- | --- |
| mAP on the validation images | {map:.4f} |
| resolution | {resolution} |
| FLOPs | {flops:.4g} (multiply-accumulates, one image) |
| parameters | {parameters:,} |
| classes | {classes} |
| backbone | {family}, stem {stem}: `{encoding}` |

`architecture.json` holds the same for programs.
"""

_FOUND = "Found by detnas from a detector trained on the same data."
_IS_BASE = (
    "This is the base detector itself: the search found no student that is better than the base.\n"
    "The search's report names the likely causes."
)


def write_folder(request: ExportRequest, state: Mapping[str, Tensor], folder: Path) -> list[Path]:
    """Write configuration, checkpoint, backbone, description and README.

    The same request and weights give the same bytes.

    Args:
        request: the detector to export.
        state: its state dict, without a distillation adaptor.
        folder: an empty folder.

    Returns:
        The files written, each directly inside the folder.
    """
    checkpoint = {
        "state_dict": {name: value.detach().cpu().contiguous() for name, value in state.items()},
        "meta": {"dataset_meta": {"classes": list(request.classes)}},
    }
    torch.save(checkpoint, folder / CHECKPOINT)
    backbone = Path(detnas_trainer.backbone.__file__).read_text(encoding="utf-8")
    texts = {
        CONFIG: config_text(request, BACKBONE),
        f"{BACKBONE}.py": backbone,
        "architecture.json": json.dumps(_description(request), indent=2) + "\n",
        "README.md": _readme(request),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in (CHECKPOINT, *texts)]


def _description(request: ExportRequest) -> dict[str, object]:
    cost = detector_cost(
        request.architecture, request.detector, len(request.classes), request.resolution
    )
    return {
        "architecture": request.architecture.model_dump(mode="json", by_alias=True),
        "encoding": encode(request.architecture),
        "resolution": str(request.resolution),
        "classes": list(request.classes),
        "detector": request.detector.model_dump(mode="json", by_alias=True),
        "flops": cost.flops,
        "parameters": cost.parameters,
        "map": request.expected_map,
        "isBase": request.is_base,
    }


def _readme(request: ExportRequest) -> str:
    cost = detector_cost(
        request.architecture, request.detector, len(request.classes), request.resolution
    )
    return _README.format(
        title=f"A detector of {len(request.classes)} classes for images of {request.resolution}",
        origin=_IS_BASE if request.is_base else _FOUND,
        backbone=BACKBONE,
        map=request.expected_map,
        resolution=request.resolution,
        flops=cost.flops,
        parameters=cost.parameters,
        classes=", ".join(request.classes),
        family=request.architecture.family,
        stem=request.architecture.stem,
        encoding=encode(request.architecture),
    )
