"""What a teacher of one's own consists of, from its mmdet configuration: plain data, never run.

A teacher only looks at images and RoIs. So backbone, neck and box heads are taken, with the pixels
that they expect; RPN, mask heads, losses and training settings are left out.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from detnas_trainer.foreign.configuration import Settings, parse_configuration, value_at
from detnas_trainer.foreign.pixels import pixels_of
from detnas_trainer.weights import WeightsError

FIELD = "teachers.external.config"
"""Of the manifest."""

_FLATTEN = (
    'write it as one file of plain values: python -c "from mmengine.config import Config; '
    "Config.fromfile('htc.py').dump('teacher.py')\""
)
_ROI_HEADS = ("StandardRoIHead", "CascadeRoIHead", "HybridTaskCascadeRoIHead")
_BOX_HEADS = ("Shared2FCBBoxHead", "Shared4Conv1FCBBoxHead", "ConvFCBBoxHead")
_BOX_STRIDES = [4, 8, 16, 32]
_HEAD = {
    "type": _BOX_HEADS,
    "bbox_coder.type": ("DeltaXYWHBBoxCoder",),
    "loss_cls.type": ("CrossEntropyLoss",),
    "loss_cls.use_sigmoid": (False,),
    "cls_predictor_cfg.type": ("Linear",),
    "reg_predictor_cfg.type": ("Linear",),
}
"""Paths below a box head, and the values that are supported; left out, they are mmdet's default."""

_EXTRACTOR = {
    "type": ("SingleRoIExtractor",),
    "roi_layer.type": ("RoIAlign",),
    "featmap_strides": (_BOX_STRIDES,),
}
_INITIALISATION = ("init_cfg", "pretrained")


def read_configuration(path: Path) -> Settings:
    """Read a configuration file, of Python as mmengine writes it, or of JSON.

    Raises:
        WeightsError: it inherits from other files, or has more than plain values.
        OSError: the file cannot be read.
    """
    if not path.is_file():
        raise WeightsError(f"{FIELD}: {path} is no file", "give the teacher's mmdet configuration")
    try:
        text = path.read_text(encoding="utf-8")
        if text.lstrip().startswith("{"):
            found = json.loads(text)
        else:
            _check_plain(path, ast.parse(text))
            found = parse_configuration(text) or {}
    except (SyntaxError, ValueError, RecursionError) as error:
        raise WeightsError(f"{FIELD}: {path} cannot be read ({error})", _FLATTEN) from error
    if found.get("_base_"):
        raise WeightsError(f"{FIELD}: {path} inherits from {found['_base_']}", _FLATTEN)
    return found


_PLAIN = (
    ast.Module, ast.Assign, ast.Name, ast.Store, ast.Load, ast.Constant, ast.List, ast.Tuple,
    ast.Dict, ast.keyword, ast.UnaryOp, ast.USub, ast.Expr,
)  # fmt: skip


def _check_plain(path: Path, tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            is_plain = ast.unparse(node.func) == "dict" and not node.args
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            is_plain = node.id == "dict"
        else:
            is_plain = isinstance(node, _PLAIN)
        if is_plain:
            continue
        line, text = getattr(node, "lineno", 1), ast.unparse(node)
        raise WeightsError(f"{FIELD}: {path}, line {line}: {text[:60]} is no plain value", _FLATTEN)


def teacher_settings(given: Settings) -> dict[str, Any]:
    """The parts of a teacher, as plain data that `ExternalTeacher` is built from.

    Raises:
        WeightsError: it is no two-stage detector that can teach; every path is named.
    """
    model = given.get("model")
    if not isinstance(model, Mapping):
        raise WeightsError(f"{FIELD}: it has no model", "give the configuration of a detector")
    pixels = pixels_of(given)
    problems = list(_problems(model))
    if pixels is None:
        problems.append("model.data_preprocessor: it lacks the mean and the std of its pixels")
    if problems:
        raise WeightsError(
            f"{FIELD}: {'; '.join(problems)}",
            "give a Faster, Mask or Cascade R-CNN or an HTC with a feature pyramid",
        )
    assert pixels is not None
    roi_head = model["roi_head"]
    semantic = "bbox" in roi_head.get("semantic_fusion", ("bbox", "mask"))
    parts = {
        "backbone": model["backbone"],
        "neck": model["neck"],
        "heads": _stages(roi_head, "bbox_head"),
        "extractors": _stages(roi_head, "bbox_roi_extractor"),
        "semantic_head": roi_head.get("semantic_head") if semantic else None,
        "semantic_extractor": roi_head.get("semantic_roi_extractor") if semantic else None,
    }
    found = {name: _buildable(part) for name, part in parts.items()}
    return {**found, "mean": pixels.mean, "std": pixels.std, "is_rgb": pixels.is_rgb}


def _problems(model: Settings) -> Iterator[str]:
    for part in ("backbone", "neck", "roi_head"):
        if not isinstance(model.get(part), Mapping):
            yield f"model.{part}: a teacher needs one, and there is none"
    roi_head = model.get("roi_head")
    if not isinstance(roi_head, Mapping):
        return
    yield from _unsupported("model.roi_head", roi_head, {"type": _ROI_HEADS})
    if roi_head.get("shared_head") is not None:
        yield "model.roi_head.shared_head: it is not supported"
    for name, supported in (("bbox_head", _HEAD), ("bbox_roi_extractor", _EXTRACTOR)):
        stages = _stages(roi_head, name)
        if not stages:
            yield f"model.roi_head.{name}: a teacher needs one, and there is none"
        for number, stage in enumerate(stages):
            place = f"model.roi_head.{name}" + (f"[{number}]" if len(stages) > 1 else "")
            yield from _unsupported(place, stage, supported)


def _unsupported(
    place: str, settings: Any, supported: Mapping[str, tuple[Any, ...]]
) -> Iterator[str]:
    for path, values in supported.items():
        value = value_at(settings, path)
        value = value.rpartition(".")[2] if isinstance(value, str) else value
        value = list(value) if isinstance(value, tuple) else value
        if value is not None and value not in values:
            allowed = " or ".join(map(str, values))
            yield f"{place}.{path}: {str(value)[:100]}; it must be {allowed}"


def _stages(roi_head: Settings, name: str) -> list[Any]:
    """A part of each stage: they are listed, or all alike."""
    part = roi_head.get(name)
    if isinstance(part, list):
        return part
    stages = roi_head.get("num_stages", 1)
    return [part] * stages if isinstance(part, Mapping) and isinstance(stages, int) else []


def _buildable(value: Any) -> Any:
    """A part without initial weights, and types by their plain names.

    A type with a path would be imported by mmengine, whatever it names.
    """
    if isinstance(value, Mapping):
        kept = {name: v for name, v in value.items() if name not in _INITIALISATION}
        return {
            name: v.rpartition(".")[2] if name == "type" and isinstance(v, str) else _buildable(v)
            for name, v in kept.items()
        }
    return [_buildable(one) for one in value] if isinstance(value, list | tuple) else value
