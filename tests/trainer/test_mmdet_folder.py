"""An exported mmdet folder behind the interface of the other formats."""

from pathlib import Path

import numpy as np
import pytest
import torch

from detnas.exported import (
    ExportedDetector,
    ExportedFile,
    ExportFormat,
    FolderDescription,
    InputForm,
    read_image,
    save_description,
)
from detnas.records.artifacts import Artifact
from detnas_trainer.detector import build_detector
from detnas_trainer.exporting import CHECKPOINT, CONFIG, write_folder
from detnas_trainer.openmmlab import load_exported
from tests.trainer.conftest import CLASSES, SIDE, Workplace


def test_mmdet_folder_finds_what_mmdet_finds(workplace: Workplace, tmp_path: Path) -> None:
    weights = Artifact(key="w", size=1, sha256="1" * 64)
    size = workplace.common["resolutions"][-1]
    assert (size.width, size.height) == (SIDE, SIDE)
    of_both = {"resolution": size, "base_resolution": size, "expected_map": 0.0}
    request = workplace.export_request("e", weights=weights, base_weights=weights, **of_both)
    torch.manual_seed(0)
    detector = build_detector(request.architecture, request.detector, len(CLASSES))
    write_folder(request, detector.state_dict(), tmp_path)
    file = ExportedFile(path=CHECKPOINT, format=ExportFormat.MMDET)
    form = InputForm(long_side=SIDE, short_side=SIDE, divisor=request.detector.pad_divisor)
    save_description(tmp_path, FolderDescription(classes=CLASSES, input=form, files=(file,)))
    photograph = next(Path(workplace.common["data"].root).rglob("*.png"))

    exported = ExportedDetector.load(tmp_path / CHECKPOINT, threads=1)
    (found,) = exported.detect([read_image(photograph)])

    from mmdet.apis import inference_detector

    expected = inference_detector(
        load_exported(tmp_path / CONFIG, tmp_path / CHECKPOINT, "cpu"), str(photograph)
    ).pred_instances
    assert len(expected.scores)
    assert found.boxes == pytest.approx(expected.bboxes.numpy(), abs=1e-3)
    assert found.scores == pytest.approx(expected.scores.numpy(), abs=1e-5)
    assert np.array_equal(found.labels, expected.labels.numpy())
