"""The plan of `bench/evidence.yaml`, and how long it is estimated to take."""

import json
from pathlib import Path

import pytest

from detnas.errors import UserError
from detnas.plan.digests import pool_digest
from detnas.records.look import LookAnswer
from detnas.reproduction import time_budget as module
from detnas.reproduction.plan import check_plan, load_plan
from detnas.reproduction.searches import FolderSearch, load_searches
from detnas.reproduction.time_budget import planned_trainings, time_budget

PLAN = Path(__file__).parents[3] / "bench" / "evidence.yaml"
IMAGES = {"train": 600, "val": 500, "test": 1000}


@pytest.fixture
def evidence() -> dict[str, FolderSearch]:
    return {one.name: one for one in load_searches(load_plan(PLAN).searches)}


def test_arms_of_the_evidence_share_base_and_pool(evidence: dict[str, FolderSearch]) -> None:
    check_plan(PLAN, load_plan(PLAN).plan, [*evidence.values()])
    specs = [one.manifest.spec for one in evidence.values()]
    assert len({pool_digest(one, "data") for one in specs}) == 1
    assert len({one.base.model_dump_json() for one in specs}) == 1
    assert {one.base_of for one in evidence.values()} == {None, "joint"}


def test_students_of_each_arm_are_trained_for_as_many_epochs(
    evidence: dict[str, FolderSearch],
) -> None:
    planned = {name: planned_trainings(one, pool_is_trained=True) for name, one in evidence.items()}
    epochs = {
        name: one.trials * one.trial + one.finetune * one.finetuned for name, one in planned.items()
    }
    assert epochs.pop("teacher-pool") == 0
    assert set(epochs.values()) == {epochs["joint"]}


@pytest.fixture
def pending(
    evidence: dict[str, FolderSearch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[FolderSearch]:
    """Two of the searches, with annotations, on a machine of 10 ms for an image."""
    data = tmp_path / "data"
    data.mkdir()
    for split, count in IMAGES.items():
        document: dict[str, list[dict[str, str]]] = {
            "images": [{}] * count,
            "categories": [{}] * 79,
        }
        (data / f"{split}.json").write_text(json.dumps(document))
    answer = LookAnswer(seconds_per_image=0.01)
    monkeypatch.setattr(module, "ask_trainer", lambda *_: answer)
    monkeypatch.setattr(module, "processors", lambda: 2)
    folder = tmp_path / "searches"
    folder.mkdir()
    return [
        FolderSearch(folder / evidence[name].path.name, evidence[name].manifest)
        for name in ("joint", "pipeline")
    ]


def test_budget_counts_the_pool_once_and_a_shared_base_not_at_all(
    pending: list[FolderSearch],
) -> None:
    joint, pipeline = pending
    one, two, alone, both = (
        time_budget(left)
        for left in (
            [(joint, 0)],
            [(joint, 0), (joint, 1)],
            [(pipeline, 0)],
            [(joint, 0), (pipeline, 0)],
        )
    )
    again = two.seconds["joint"] - one.seconds["joint"]
    assert again < one.seconds["joint"]
    assert both.seconds["pipeline"] < alone.seconds["pipeline"]
    assert planned_trainings(pipeline, pool_is_trained=False).base == 0
    assert (two.seeds, both.seeds) == ({"joint": 2}, {"joint": 1, "pipeline": 1})
    # 24 epochs of the base, by itself 144 s, run on two threads.
    assert again > 24 * IMAGES["train"] * 0.01 / 2


def test_budget_without_the_data_set_says_which_file_is_missing(
    evidence: dict[str, FolderSearch], tmp_path: Path
) -> None:
    joint = FolderSearch(tmp_path / "searches" / "joint.yaml", evidence["joint"].manifest)
    with pytest.raises(UserError, match=r"data/train\.json cannot be read"):
        time_budget([(joint, 0)])
