"""The exported detector's mmdet configuration, as the text of a Python file."""

import json
from collections.abc import Sequence
from pprint import pformat
from typing import Any

from detnas.records.requests import ExportRequest
from detnas_trainer.detector import detector_config

_HEAD = '''"""{title}"""

import sys

sys.path.insert(0, r"{{{{ fileDirname }}}}")  # the modules stand beside this file

custom_imports = dict(imports={modules}, allow_failed_imports=False)
default_scope = "mmdet"
'''


def config_text(request: ExportRequest, modules: Sequence[str]) -> str:
    """Write mmdet's old configuration form, which names the file's own folder.

    It carries what inference needs: model, classes, and a test pipeline at the student's size.
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
