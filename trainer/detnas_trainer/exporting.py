"""A detector as a folder that stock mmdet loads, without this project."""

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from pprint import pformat
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

import detnas_trainer.anchors
import detnas_trainer.backbone
import detnas_trainer.mmcv_ext
from detnas.architecture import encode
from detnas.cost import detector_cost
from detnas.gain import Gain
from detnas.records.exports import ExportedFile
from detnas.records.requests import ExportRequest
from detnas.records.results import Score
from detnas.records.settings import DetectorShape, DetectorVariant
from detnas_trainer.detector_config import detector_config

_HEAD = '''"""{title}"""

import sys

sys.path.insert(0, r"{{{{ fileDirname }}}}")  # the modules stand beside this file

custom_imports = dict(imports={modules}, allow_failed_imports=False)
default_scope = "mmdet"
'''


def config_text(request: ExportRequest, modules: Sequence[str]) -> str:
    """Return the configuration in mmdet's old form, which can name the file's own folder.

    It has what inference needs: model, classes, and a test pipeline at the student's size.
    """
    title = f"Faster R-CNN with an evolved backbone, for images of {request.resolution}."
    settings = {
        "metainfo": {"classes": request.classes},
        "model": detector_config(request.architecture, request.detector, len(request.classes)),
        "test_pipeline": _pipeline(request),
        "visualizer": {
            "type": "DetLocalVisualizer",
            "vis_backends": [{"type": "LocalVisBackend"}],
            "name": "visualizer",
        },
    }
    body = "\n".join(
        f"{name} = {pformat(value, width=96, sort_dicts=False)}" for name, value in settings.items()
    )
    return f"{_HEAD.format(title=title, modules=json.dumps(list(modules)))}\n{body}\n{_TAIL}"


_TAIL = """test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="CocoDataset", metainfo=metainfo, pipeline=test_pipeline),
)
"""


def _pipeline(request: ExportRequest) -> list[dict[str, Any]]:
    size = request.resolution
    return [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "scale": (size.width, size.height), "keep_ratio": True},
        {
            "type": "PackDetInputs",
            "meta_keys": ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
        },
    ]


def _modules(shape: DetectorShape) -> dict[str, ModuleType]:
    """Modules that the folder contains, by their names there; imported in this order."""
    modules = {
        "detnas_mmcv_ext": detnas_trainer.mmcv_ext,
        "detnas_backbone": detnas_trainer.backbone,
    }
    if shape.variant is DetectorVariant.TORCHVISION:
        modules["detnas_anchors"] = detnas_trainer.anchors
    return modules


CONFIG = "detector.py"
CHECKPOINT = "detector.pth"
README = "README.md"

_README = """# {title}

{origin}

It needs PyTorch with torchvision and mmdet 3.x, nothing else, and runs from anywhere:

```python
import sys

folder = "."  # where this file is
sys.path.insert(0, folder)
import detnas_mmcv_ext  # before mmdet: stands in where mmcv has no compiled operators
from mmdet.apis import DetInferencer

detector = DetInferencer(model=f"{{folder}}/detector.py", weights=f"{{folder}}/detector.pth")
found = detector("photograph.jpg", no_save_vis=True)["predictions"][0]
print(found["labels"], found["scores"], found["bboxes"])  # boxes: left, top, right, bottom
```

It brings its code along: `detnas_backbone.py` is the backbone{anchors}, and
`detnas_mmcv_ext.py` answers with torchvision's operators where mmcv was installed without a
compiler. A compiled mmcv is used as it is, and then the line that imports it may be left out.

| | |
| --- | --- |
| mAP on the validation images | {map:.4f} |{test}
| resolution | {resolution} |
| FLOPs | {flops:.4g} (multiply-accumulates, one image) |
| parameters | {parameters:,} |
| classes | {classes} |
| backbone | {family}, stem {stem}: `{encoding}` |

`architecture.json` holds the same for programs.
"""

_ANCHORS = ", `detnas_anchors.py` its anchors"
_FOUND = "Found by detnas from a detector trained on the same data. {gain}"
_UNKNOWN_GAIN = "How certain its gain over that detector is was not measured."
_GAIN = "Its {metric} less that detector's is {gain}, from a paired bootstrap over {where}{seen}."
_SEEN = ", so they are no unseen test"
_NOT_DISTINGUISHABLE = (
    " **On these images it cannot be distinguished from that detector**: not all of the interval "
    "is above 0."
)
_IS_BASE = (
    "This is the base detector itself: the search found no student that is better than the base. "
    "The search's report names the likely causes."
)


def write_folder(request: ExportRequest, state: Mapping[str, Tensor], folder: Path) -> list[Path]:
    """Write configuration, checkpoint, the code it needs, description and README.

    The same request and weights give the same bytes.

    Returns:
        The files written, each directly inside the folder.
    """
    checkpoint = {
        "state_dict": {name: value.detach().cpu().contiguous() for name, value in state.items()},
        "meta": {"dataset_meta": {"classes": list(request.classes)}},
    }
    torch.save(checkpoint, folder / CHECKPOINT)
    modules = _modules(request.detector)
    texts = {
        CONFIG: config_text(request, tuple(modules)),
        **{f"{name}.py": inspect.getsource(module) for name, module in modules.items()},
        "architecture.json": json.dumps(_description(request), indent=2) + "\n",
        README: readme_of(request),
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
        **({} if request.test is None else {"testMap": request.test.map}),
    }


def _gain(gain: Gain | None) -> str:
    if gain is None:
        return _UNKNOWN_GAIN
    doubt = "" if gain.is_certain else _NOT_DISTINGUISHABLE
    seen = "" if gain.unseen else _SEEN
    return _GAIN.format(metric=gain.metric, gain=gain, where=gain.where, seen=seen) + doubt


def _test(score: Score | None) -> str:
    if score is None:
        return ""
    error = "" if score.map_error is None else f" ± {score.map_error:.4f}"
    return f"\n| mAP on unseen test images | {score.map:.4f}{error} |"


def readme_of(request: ExportRequest) -> str:
    """The README of the exported folder."""
    cost = detector_cost(
        request.architecture, request.detector, len(request.classes), request.resolution
    )
    return _README.format(
        title=f"A detector of {len(request.classes)} classes for images of {request.resolution}",
        anchors=_ANCHORS if request.detector.variant is DetectorVariant.TORCHVISION else "",
        origin=_IS_BASE if request.is_base else _FOUND.format(gain=_gain(request.gain)),
        map=request.expected_map,
        test=_test(request.test),
        resolution=request.resolution,
        flops=cost.flops,
        parameters=cost.parameters,
        classes=", ".join(request.classes),
        family=request.architecture.family,
        stem=request.architecture.stem,
        encoding=encode(request.architecture),
    )


_FILES = """
## Files

`detector.json` says how an image becomes the input of a file. mAP is that of each file itself on
the validation images; latency is of one image on a CPU, at batch 1.

| file | format | precision | MB | mAP | ms (median) | remark |
| --- | --- | --- | --- | --- | --- | --- |
"""


def add_files_to_readme(folder: Path, files: Sequence[ExportedFile]) -> None:
    """Append the table of a folder's detectors to its README."""
    rows = "".join(f"| {' | '.join(_cells(file))} |\n" for file in files)
    with (folder / README).open("a", encoding="utf-8") as readme:
        readme.write(f"{_FILES}{rows}")


def _cells(file: ExportedFile) -> tuple[str, ...]:
    score = "not measured" if file.map is None else f"{file.map:.4f}"
    if file.map is not None and file.map_error is not None:
        score += f" ± {file.map_error:.4f}"
    latency = "" if file.latency is None else f"{file.latency.median:.1f}"
    remark = f"**{file.remark}**".replace("|", "/").replace("\n", " ") if file.remark else ""
    size = f"{file.bytes / 1e6:.2f}"
    return (f"`{file.path}`", file.format, file.precision, size, score, latency, remark)
