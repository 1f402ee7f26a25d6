"""The test job: detectors on images that decided nothing, and what they found for test servers."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.requests import DetectorToTest, FinalTestRequest
from detnas.records.results import FinalTestSoFar, Outcome
from detnas.records.settings import DataLocation
from detnas.store.artifacts import load_record
from detnas_trainer import jobs
from detnas_trainer.evaluation import coco_index, score
from detnas_trainer.jobs.verbs import final_test
from detnas_trainer.jobs.verbs.scoring import found_at
from detnas_trainer.training.interruption import Interrupted
from tests.trainer.conftest import CLASSES, Workplace, edit_json, training, write_data_set

KEY = "local/a/test"
TEST_IMAGES = 8


@pytest.fixture
def unseen(workplace: Workplace, tmp_path: Path) -> DataLocation:
    """The tiny data set with a test split, whose ids are neither dense nor in order."""
    found = write_data_set(tmp_path / "unseen", test=TEST_IMAGES)
    path = tmp_path / "unseen" / "test.json"

    def renumber(document: dict[str, list[dict[str, int]]]) -> None:
        new = {image["id"]: 9000 - 7 * image["id"] for image in document["images"]}
        for image in document["images"]:
            image["id"] = new[image["id"]]
        for box in document["annotations"]:
            box["image_id"] = new[box["image_id"]]

    edit_json(path, renumber)
    return found


@pytest.fixture
def request_of_two(workplace: Workplace, unseen: DataLocation) -> FinalTestRequest:
    """A test of two detectors, the base at two sizes; the base is trained a little."""
    detectors: list[DetectorToTest] = []
    for name, epochs in (("base", 6), ("trial-3-finetuned", 0)):
        given: dict[str, Any] = {"training": training(epochs), "data": unseen, "weights": None}
        if not epochs:  # untrained weights of the same architecture
            given["weights"] = str(workplace.root / "store" / detectors[0].weights.key)
        found = workplace.succeed(workplace.base_request(f"local/a/{name}", **given))
        sizes = workplace.common["resolutions"]
        detectors.append(
            DetectorToTest(
                name=name,
                architecture=found.architecture,
                detector=workplace.common["detector"],
                weights=found.weights,
                resolutions=sizes if name == "base" else sizes[:1],
            )
        )
    return FinalTestRequest(
        key=KEY, data=unseen, classes=CLASSES, detectors=tuple(detectors), evaluation_batch=4
    )


def test_detectors_are_scored_on_the_test_images_and_found_boxes_are_stored(
    workplace: Workplace, request_of_two: FinalTestRequest, unseen: DataLocation
) -> None:
    result = workplace.succeed(request_of_two)
    base, student = result.detectors
    assert [one.name for one in result.detectors] == ["base", "trial-3-finetuned"]
    assert [str(score.resolution) for score in base.scores] == ["48x48", "64x64"]
    assert student.scores[0] == base.scores[0], "the same weights, the same draws"
    assert len(base.scores[0].replicates) == 200

    assert set(result.files) == {
        "base-48x48.json", "base-64x64.json", "trial-3-finetuned-48x48.json",
    }  # fmt: skip
    truth = coco_index(json.loads((Path(unseen.root) / "test.json").read_text()))
    for at in base.scores:
        file = result.files[f"base-{at.resolution}.json"]
        assert file.key == f"{KEY}/base-{at.resolution}.json"
        stored = workplace.store.get(file.key)
        assert stored is not None
        found = json.loads(stored.data)
        assert {one["image_id"] for one in found} <= set(truth.imgs)
        assert score(truth, found, at.resolution).map == pytest.approx(at.map, abs=1e-3)


def test_stopped_test_continues_with_the_next_detector(
    workplace: Workplace, request_of_two: FinalTestRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = count(1)

    def stopped_after_the_base(*given: Any) -> Any:
        if next(scored) == 3:
            raise Interrupted
        return found_at(*given)

    uri = workplace.put(request_of_two)
    monkeypatch.setattr(final_test, "found_at", stopped_after_the_base)
    assert jobs.run("test", uri) == 75
    before = load_record(workplace.store, keys.tested_key(KEY, 1), FinalTestSoFar)
    assert before is not None
    assert [one.name for one in before.detectors] == ["base"]

    monkeypatch.setattr(final_test, "found_at", found_at)
    assert jobs.run("test", uri) == 0
    result = workplace.result(KEY)
    assert result.detectors[0] == before.detectors[0]
    assert len(result.detectors) == 2
    assert len(result.files) == 3


def test_test_images_that_have_changed_since_the_check_are_refused(
    workplace: Workplace, unseen: DataLocation, request_of_two: FinalTestRequest
) -> None:
    prepared = workplace.succeed(workplace.prepare_request("local/a/prepare", data=unseen))
    assert prepared.outcome is Outcome.SUCCEEDED
    changed = Path(unseen.root) / "test" / "0.png"
    changed.write_bytes((Path(unseen.root) / "test" / "1.png").read_bytes())
    listing: Artifact | None = prepared.test_listing
    request = request_of_two.model_copy(
        update={"annotations": prepared.test_annotations, "image_listing": listing}
    )
    assert workplace.run(request) == 44
