"""Ranks that share out every batch compute what one process computes on the entire batch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainer.conftest import SIDE, write_data_set
from tests.trainer.ranks.processes import run_ranks

PROGRAM = "tests.trainer.ranks.computed"
LOW = 44


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose images differ in height and in their number of objects."""
    folder = tmp_path_factory.mktemp("ranks")
    location = write_data_set(folder / "data")
    path = Path(location.root) / location.train
    document = json.loads(path.read_text())
    for image in document["images"]:
        if image["id"] % 3 == 0:
            _remove_an_object(image["id"], document)
        if image["id"] % 2 == 0:
            _cut(Path(location.root) / location.train_images / image["file_name"], image, document)
    path.write_text(json.dumps(document))
    (folder / "data.json").write_text(location.model_dump_json())
    run_ranks(PROGRAM, 1, str(folder))
    return folder


def _remove_an_object(image: int, document: dict[str, Any]) -> None:
    own = [row for row in document["annotations"] if row["image_id"] == image]
    document["annotations"].remove(own[0])


def _cut(path: Path, image: dict[str, Any], document: dict[str, Any]) -> None:
    """Remove the bottom of an image, unless an object reaches into it."""
    own = [row for row in document["annotations"] if row["image_id"] == image["id"]]
    if max(row["bbox"][1] + row["bbox"][3] for row in own) > LOW:
        return
    pixels = np.asarray(Image.open(path))
    Image.fromarray(pixels[:LOW]).save(path)
    image["height"] = LOW


@pytest.fixture(scope="module", params=[2, 4])
def pair(folder: Path, request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """What one process found, and what several ranks did."""
    run_ranks(PROGRAM, request.param, str(folder))
    alone, shared = (torch.load(folder / f"ranks-{count}.pt") for count in (1, request.param))
    return alone, shared


Pair = tuple[dict[str, Any], dict[str, Any]]


def test_batch_norm_over_ranks_equals_one_over_the_entire_batch(pair: Pair) -> None:
    alone, shared = (found["norm"] for found in pair)
    assert alone.keys() == shared.keys()
    for name, expected in alone.items():
        torch.testing.assert_close(shared[name], expected, rtol=1e-4, atol=1e-6, msg=name)


def test_batch_is_padded_to_the_largest_size_of_any_rank(pair: Pair) -> None:
    alone, shared = (found["padding"] for found in pair)
    assert alone == shared == (1, 3, 64, 64)


@pytest.mark.parametrize("kind", ["plain", "distilled subnets", "masked features", "cascade"])
def test_gradients_and_losses_of_ranks_equal_those_of_one_process(pair: Pair, kind: str) -> None:
    for (expected, expected_losses), (found, losses) in zip(*(f[kind] for f in pair), strict=True):
        assert losses == pytest.approx(expected_losses, rel=1e-4)
        assert found.keys() == expected.keys()
        # The momentum after the first step is the gradient.
        for part in ("momentum.backbone", "momentum.neck", "momentum.rpn", "momentum.roi", "model"):
            names = [name for name in expected if name.startswith(part)]
            assert names
            own, other = (
                torch.cat([t[name].flatten().float() for name in names]) for t in (found, expected)
            )
            assert (own - other).norm() <= 1e-4 * other.norm(), part


def test_teacher_and_evaluation_shared_out_equal_those_of_one_process(pair: Pair) -> None:
    alone, shared = (found["evaluated"] for found in pair)
    names = [name for name in alone["statistics"] if "running" in name]
    assert names
    for name in names:
        assert torch.equal(shared["statistics"][name], alone["statistics"][name]), name
    assert any(image for batch in alone["detections"] for image in batch)
    assert shared["detections"] == alone["detections"]
    assert shared["score"] == alone["score"]


def test_images_of_the_data_set_differ_in_size(folder: Path) -> None:
    document = json.loads((folder / "data" / "train.json").read_text())
    assert {image["height"] for image in document["images"]} == {LOW, SIDE}
