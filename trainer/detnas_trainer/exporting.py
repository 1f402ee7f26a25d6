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
from detnas.records.requests import ExportRequest
from detnas.records.settings import DetectorShape, DetectorVariant, HeadKind
from detnas_trainer.detector_config import detector_config
from detnas_trainer.model_card import model_card

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
    kind = "Cascade" if request.detector.head is HeadKind.CASCADE else "Faster"
    title = f"{kind} R-CNN with an evolved backbone, for images of {request.resolution}."
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
        README: model_card(request),
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
