"""The model card of an exported detector, as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from detnas.architecture import encode
from detnas.cost import detector_cost
from detnas.gain import Gain, GainMetric
from detnas.records.exports import ExportedFile, ExportFormat
from detnas.records.keys import is_base_as_requested
from detnas.records.model_card import CardBaseline, ModelCard
from detnas.records.requests import ExportRequest
from detnas.records.results import Score
from detnas.records.settings import DetectorVariant, HeadKind

_TEMPLATES = Environment(
    loader=PackageLoader("detnas_trainer.model_card"),
    autoescape=False,  # noqa: S701 - Markdown
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)

_FOUND = "Found by detnas from a detector trained on the same data. {gain}"
_UNKNOWN_GAIN = "How certain its gain over that detector is was not measured."
_GAIN = "Its {metric} less that detector's is {gain}, from a paired bootstrap over {where}{seen}."
_METRICS = {GainMetric.H: "H, which weighs mAP against computation,", GainMetric.MAP: "mAP"}
_SEEN = ", so they are no unseen test"
_UNCERTAIN = (
    " **On these images it cannot be distinguished from that detector**: the interval contains 0."
)
_WORSE = " **On these images it is worse than that detector.**"
_BASE = "This is the base detector itself, with which the search began."
_IS_BASE = (
    "This is the base detector itself: the search found no student that is better than the base. "
    "The search's report names the likely causes."
)


@dataclass(frozen=True, slots=True)
class _Usage:
    title: str
    text: str


_RUNTIMES = {
    ExportFormat.ONNX: "With onnxruntime",
    ExportFormat.OPENVINO: "With OpenVINO",
    ExportFormat.TORCH: "With torch.export",
    ExportFormat.MMDET: "With mmdet",
}
"""Headings by format; the text of each is the template of its name in lower case."""


def model_card(
    request: ExportRequest, picture: str = "", files: Sequence[ExportedFile] = ()
) -> str:
    """Return the README of the exported folder.

    Args:
        request: of the export.
        picture: file that shows detector and base side by side; empty if there is none.
        files: the detectors in the folder, as far as they are described; mmdet's is always there.
    """
    cost = detector_cost(
        request.architecture, request.detector, len(request.classes), request.resolution
    )
    card = request.card
    facts = {
        "front_matter": _front_matter(card, request.detector.head),
        "title": f"A detector of {len(request.classes)} classes for images of {request.resolution}",
        "origin": _origin(request),
        "is_base": request.is_base,
        "picture": picture,
        "card": card,
        "images": card.val.images if card and card.val else None,
        "results": _results(card, request) if card else (),
        "lineage": card.lineage if card else (),
        "baselines": [_baseline(one) for one in card.baselines] if card else (),
        "license": card.license if card else None,
        "map": request.expected_map,
        "test": _map(request.test) if request.test else "",
        "resolution": request.resolution,
        "flops": cost.flops,
        "parameters": cost.parameters,
        "has_errors": card is not None and card.score.map_error is not None,
        "classes": [_code(name) for name in request.classes],
        "family": request.architecture.family,
        "stem": request.architecture.stem,
        "encoding": encode(request.architecture),
        "files": files,
        "scored": next((one.images for one in files if one.difference is not None), None),
        "long_side": max(request.resolution.width, request.resolution.height),
        "short_side": min(request.resolution.width, request.resolution.height),
        "divisor": request.detector.pad_divisor,
        "anchors": _ANCHORS if request.detector.variant is DetectorVariant.TORCHVISION else "",
    }
    mmdet = ExportedFile(path="detector.pth", format=ExportFormat.MMDET)
    first = {file.format: file for file in (mmdet, *reversed(files))}
    usages = [
        _Usage(heading, _rendered(f"{form.lower()}.md", {**facts, "file": first[form]}).rstrip())
        for form, heading in _RUNTIMES.items()
        if form in first
    ]
    return _rendered("README.md", {**facts, "usages": usages})


def _rendered(template: str, facts: Mapping[str, Any]) -> str:
    return _TEMPLATES.get_template(f"{template}.jinja").render(facts)


_TAGS = {HeadKind.STANDARD: "faster-rcnn", HeadKind.CASCADE: "cascade-rcnn"}
_ANCHORS = ", `detnas_anchors.py` its anchors"


def _front_matter(card: ModelCard | None, head: HeadKind) -> str:
    """What the Hub reads of the card; it takes a missing licence for one that is not stated."""
    known: dict[str, Any] = {}
    if card and card.license:
        known["license"] = card.license
    known |= {
        "library_name": "mmdetection",
        "pipeline_tag": "object-detection",
        "tags": ["object-detection", _TAGS[head], "detnas"],
    }
    if card and card.datasets:
        known["datasets"] = list(card.datasets)
    return yaml.safe_dump(known, sort_keys=False, allow_unicode=True)


def _origin(request: ExportRequest) -> str:
    if not request.is_base:
        return _FOUND.format(gain=_gain(request.gain))
    return _BASE if is_base_as_requested(request.key) else _IS_BASE


def _gain(gain: Gain | None) -> str:
    if gain is None:
        return _UNKNOWN_GAIN
    seen = "" if gain.unseen else _SEEN
    text = _GAIN.format(metric=_METRICS[gain.metric], gain=gain, where=gain.where, seen=seen)
    if gain.caveat:
        text += f" {gain.caveat[0].upper()}{gain.caveat[1:]}."
    if gain.is_certain:
        return text
    return text + (_WORSE if gain.high < 0 else _UNCERTAIN)


def _results(card: ModelCard, request: ExportRequest) -> list[tuple[str, str, str]]:
    """Rows of the table: a name, this detector's value and the base's."""
    own, base = card.score, card.base_score
    parts = (
        ("AP at IoU 0.50", own.ap50, base.ap50),
        ("AP at IoU 0.75", own.ap75, base.ap75),
        ("AP of small objects", own.ap_small, base.ap_small),
        ("AP of medium objects", own.ap_medium, base.ap_medium),
        ("AP of large objects", own.ap_large, base.ap_large),
    )
    return [
        ("mAP", _map(own), _map(base)),
        *((name, _metric(ours), _metric(theirs)) for name, ours, theirs in parts),
        ("at resolution", str(request.resolution), str(request.base_resolution)),
    ]


def _baseline(one: CardBaseline) -> tuple[str, str, str, str]:
    """A row: name, mAP, GFLOPs, and what this detector has more in H."""
    lead = "unknown" if one.lead is None else f"{one.lead} on {one.lead.where}"
    return one.name, _map(one.score), f"{one.flops / 1e9:.4g}", lead


def _map(score: Score) -> str:
    error = "" if score.map_error is None else f" ± {score.map_error:.4f}"
    return _metric(score.map) + error


def _code(name: str) -> str:
    """A name from the annotation file, in which Markdown and HTML have no meaning."""
    plain = " ".join(name.split())
    fence = "``" if "`" in plain else "`"
    pad = " " if "`" in plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def _metric(value: float) -> str:
    """Four decimals; COCO's -1 means that no object is of that size."""
    return f"{value:.4f}" if value >= 0 else "–"
