"""The model card: what it states, and its snippets, run as a user of the folder runs them."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from detnas.exported import InputForm, prepare
from detnas.gain import Gain
from detnas.records.artifacts import Artifact
from detnas.records.exports import ExportedFile, ExportFormat
from detnas.records.model_card import CardBaseline, LineageStep, ModelCard
from detnas.records.requests import ExportRequest
from detnas.records.results import Score, SplitSummary
from detnas.records.settings import HeadKind, Resolution
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.exporting import config_text, write_folder
from detnas_trainer.model_card import model_card
from detnas_trainer.portable import LEAST_TRACED_SIDE, PortableWriter
from tests.trainer.conftest import Workplace

SIZE = Resolution(width=64, height=64)


def _score(map_: float, error: float | None = 0.012) -> Score:
    parts = {"ap75": 0.2, "ap_small": -1.0, "ap_medium": 0.4, "ap_large": 0.5}
    return Score(resolution=SIZE, map=map_, ap50=0.6, map_error=error, **parts)


def _split(images: int) -> SplitSummary:
    return SplitSummary(sha256="0" * 64, images=images, boxes=3 * images, empty_images=2)


CARD = ModelCard(
    train=_split(120),
    val=_split(40),
    score=_score(0.41),
    base_score=_score(0.4),
    lineage=(
        LineageStep(did="base", h=0.4, map=0.4, flops=2_000_000_000),
        LineageStep(trial=3, did="channel pruning, 5 %", h=0.45, map=0.39, flops=1_500_000_000),
    ),
    baselines=(
        CardBaseline(
            name="continued base",
            score=_score(0.405),
            h=0.41,
            flops=2_000_000_000,
            lead=Gain(difference=0.02, low=-0.001, high=0.04, images=40),
        ),
        CardBaseline(name="scaled", score=_score(0.3), h=0.3, flops=1_400_000_000),
    ),
    license="apache-2.0",
    datasets=("detection-datasets/coco",),
)


@pytest.fixture
def request_(workplace: Workplace) -> ExportRequest:
    weights = Artifact(key="local/a/w", size=1, sha256="1" * 64)
    return workplace.export_request(
        "local/a/students/best",
        weights=weights,
        base_weights=weights.model_copy(update={"sha256": "2" * 64}),
        resolution=SIZE,
        base_resolution=SIZE,
        expected_map=0.41,
        card=CARD,
    )


def _front_matter(card: str) -> dict[str, Any]:
    assert card.startswith("---\n")
    front, _, _ = card[4:].partition("\n---\n")
    return yaml.safe_load(front)


def test_card_states_data_results_with_errors_and_lineage(request_: ExportRequest) -> None:
    card = model_card(request_)
    assert _front_matter(card) == {
        "license": "apache-2.0",
        "library_name": "mmdetection",
        "pipeline_tag": "object-detection",
        "tags": ["object-detection", "faster-rcnn", "detnas"],
        "datasets": ["detection-datasets/coco"],
    }
    assert "| mAP | 0.4100 ± 0.0120 | 0.4000 ± 0.0120 |" in card
    assert "| AP of small objects | – | – |" in card
    assert "| training | 120 | 360 | 2 |" in card
    assert "| 3 | channel pruning, 5 % | 0.4500 | 0.3900 | 1.5 |" in card
    assert "2 classes: `disc`, `square`." in card
    assert "standard error of a bootstrap" in card
    assert (
        "| continued base | 0.4050 ± 0.0120 | 2 | +0.0200, 95 % interval -0.0010 to +0.0400 on the "
        "40 validation images it was selected on |"
    ) in card
    assert "| scaled | 0.3000 ± 0.0120 | 1.4 | unknown |" in card
    assert card.rstrip().endswith("## Licence\n\napache-2.0")


def test_cascade_is_called_so(request_: ExportRequest) -> None:
    cascade = request_.detector.model_copy(update={"head": HeadKind.CASCADE})
    request_ = request_.model_copy(update={"detector": cascade})
    assert "cascade-rcnn" in _front_matter(model_card(request_))["tags"]
    assert config_text(request_, ()).startswith('"""Cascade R-CNN with an evolved backbone')


def test_tables_of_the_card_are_whole(request_: ExportRequest) -> None:
    """A blank line within a table would end it, and its rows would be shown as text."""
    for table in re.findall(r"(?:^\|.*\n)+", model_card(request_), re.MULTILINE):
        rows = table.splitlines()
        assert set(rows[1]) <= set("| -"), table
        assert len({row.count("|") for row in rows}) == 1, table


def test_card_without_errors_states_none(request_: ExportRequest) -> None:
    """Of a search of an earlier version, whose results have no bootstrap."""
    scores = {"score": _score(0.41, error=None), "base_score": _score(0.4, error=None)}
    facts = CARD.model_copy(update={**scores, "baselines": ()})
    card = model_card(request_.model_copy(update={"card": facts}))
    assert "±" not in card
    assert "error" not in card.partition("## Results")[2].partition("## Data")[0]


def test_class_names_are_shown_as_they_are(request_: ExportRequest) -> None:
    names = ("<b>*a*", "b|c", "d`e")
    card = model_card(request_.model_copy(update={"classes": names}))
    assert "3 classes: `<b>*a*`, `b|c`, `` d`e ``." in card


def test_card_of_an_earlier_request_says_less(request_: ExportRequest) -> None:
    card = model_card(request_.model_copy(update={"card": None}))
    assert "license" not in _front_matter(card)
    assert "| mAP | 0.4100 |" in card
    assert "How it was found" not in card
    assert card.rstrip().endswith("Not stated.")


FILES = (
    ExportedFile(path="detector.onnx", format=ExportFormat.ONNX, map=0.409, map_error=0.012),
    ExportedFile(path="detector.xml", format=ExportFormat.OPENVINO, remark="a | mark"),
    ExportedFile(path="detector.pt2", format=ExportFormat.TORCH, least_side=LEAST_TRACED_SIDE),
)


@pytest.mark.parametrize(("difference", "shown"), [(-1e-6, "+0.0000"), (-0.0071, "-0.0071")])
def test_card_shows_no_minus_before_a_difference_of_0(
    request_: ExportRequest, difference: float, shown: str
) -> None:
    file = FILES[0].model_copy(update={"difference": difference, "images": 40})
    assert f"| 0.4090 ± 0.0120 | {shown} |" in model_card(request_, files=(file,))


def test_card_of_a_base_says_whether_the_search_found_none_better(request_: ExportRequest) -> None:
    base = request_.model_copy(update={"base_weights": request_.weights})
    assert "found no student" in model_card(base)
    asked = base.model_copy(update={"key": "local/a/exports/base-0123abcd"})
    assert "with which the search began" in model_card(asked)
    assert "found no student" not in model_card(asked)


def test_card_lists_files_and_says_how_each_runtime_loads_them(request_: ExportRequest) -> None:
    card = model_card(request_, files=FILES)
    assert "| `detector.onnx` | Onnx | FP32 | 0.00 | 0.4090 ± 0.0120 |" in card
    assert "not measured" in card
    assert "**a / mark**" in card
    headings = re.findall(r"^### (.*)$", card, re.MULTILINE)
    assert headings == [
        *("With onnxruntime", "With OpenVINO", "With torch.export", "With mmdet"),
        "With supervision",
    ]


@pytest.mark.parametrize("width", [48, 128])
@pytest.mark.parametrize("fixed", [False, True])
def test_snippet_prepares_an_image_as_the_file_was_scored(
    request_: ExportRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    fixed: bool,
) -> None:
    """An upright image is shrunk to fit into a file that takes one size."""
    request_ = request_.model_copy(update={"resolution": Resolution(width=128, height=96)})
    shape = {"batch": 1, "height": 96, "width": 128} if fixed else {}
    file = ExportedFile(path="detector.onnx", format=ExportFormat.ONNX, **shape)
    pixels = np.random.default_rng(0).integers(0, 256, (64, width, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photograph.jpg", "PNG")
    monkeypatch.chdir(tmp_path)
    usage = model_card(request_, files=(file,)).partition("### With onnxruntime")[2]
    snippet = re.findall(r"```python\n(.*?)```", usage, re.DOTALL)[0].partition("session =")[0]
    found: dict[str, Any] = {}
    exec(snippet, found)
    expected = prepare(pixels, InputForm(long_side=128, short_side=96), file)
    assert found["images"].shape == (1, *expected.pixels.shape)
    assert found["sizes"].tolist() == [[*expected.size]]
    assert found["images"][0] == pytest.approx(expected.pixels, abs=1)


def _export(request: ExportRequest, workplace: Workplace, folder: Path) -> Path:
    """An exported folder with a photograph, without files that need no mmdet."""
    torch.manual_seed(0)
    detector = build_detector(request.architecture, request.detector, len(request.classes))
    folder.mkdir()
    write_folder(request, detector.state_dict(), folder)
    photograph = next(Path(workplace.common["data"].root).rglob("*.png"))
    (folder / "photograph.jpg").write_bytes(photograph.read_bytes())
    return folder


def _run_snippets(folder: Path, card: str, headings: Sequence[str]) -> list[list[float]]:
    """What each snippet and that of supervision find: number of boxes, and their largest values."""
    lines = []
    for heading in headings:
        usage = card.partition(f"### {heading}")[2]
        snippets = re.findall(r"```python\n(.*?)```", usage, re.DOTALL)
        shown = "print('found', len(detections), *detections.xyxy.max(axis=0))"
        lines += [snippets[0], snippets[-1], shown]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines() if line.startswith("found")]
    return [[*map(float, words[1:])] for words in said]


@pytest.mark.slow
def test_snippets_of_all_runtimes_find_the_same(
    request_: ExportRequest, workplace: Workplace, tmp_path: Path
) -> None:
    size = Resolution(width=96, height=96)  # programs of torch.export take no smaller images
    request_ = request_.model_copy(update={"resolution": size})
    exported = _export(request_, workplace, tmp_path / "exported")
    state = torch.load(exported / "detector.pth", weights_only=False)["state_dict"]
    classes, scratch = len(request_.classes), tmp_path / "scratch"
    scratch.mkdir()
    writer = PortableWriter(
        load=lambda: load_detector(request_.architecture, request_.detector, classes, state).eval(),
        resolution=size,
        folder=exported,
        scratch=scratch,
        calibration=lambda: (),
    )
    for file in FILES:
        writer.write(file.format, file.precision)
    card = model_card(request_, files=FILES)
    headings = ("With mmdet", "With onnxruntime", "With OpenVINO", "With torch.export")
    found = _run_snippets(exported, card, headings)
    assert found[0][0] > 0
    for heading, one in zip(headings, found, strict=True):
        assert one == pytest.approx(found[0], abs=1), heading
