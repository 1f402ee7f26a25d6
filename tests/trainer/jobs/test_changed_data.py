"""Jobs that see other data than their search was prepared with: no verdict comes of it."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from detnas.records.artifacts import Artifact, ImageListing
from detnas.records.requests import ExportRequest, PoolPhaseRequest, PrepareRequest, StudentRequest
from detnas.records.results import DetectorResult, PrepareResult
from detnas.records.settings import DataLocation
from detnas.store.artifacts import canonical_json, fetch_artifact, load_record
from detnas.store.durable_files import sha256_of
from detnas_trainer import jobs
from detnas_trainer.jobs import base as base_job
from detnas_trainer.jobs.learning import score_at
from detnas_trainer.training.interruption import Interrupted
from detnas_trainer.training.loop import DivergedError
from tests.trainer.conftest import Workplace, training
from tests.trainer.jobs.test_student import SHAPE, SPACE

KEY = "local/searches/a-1/base"
UNSEEN = Artifact(key="nowhere", size=1, sha256="0" * 64)


@dataclass(frozen=True)
class Prepared:
    """A data set of its own that the prepare job has seen.

    Attributes:
        root: its folder.
        result: what was seen.
        told: what the requests of later jobs say of it.
    """

    root: Path
    result: PrepareResult
    told: dict[str, Any]

    def change(self, name: str) -> None:
        """Give a file other content of the same size and date."""
        path = self.root / name
        then = path.stat()
        path.with_name("old").write_bytes(path.read_bytes())
        path.write_bytes(path.read_bytes()[:-1] + b" ")
        os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))

    def restore(self, name: str) -> None:
        """Put the old content back."""
        (self.root / name).with_name("old").replace(self.root / name)


def prepare(workplace: Workplace, data: DataLocation, weights: str | None = None) -> PrepareResult:
    """Run the prepare job of a search of its own."""
    key = f"local/searches/{len(list(workplace.store.list('local/')))}/prepare"
    sizes = workplace.common["resolutions"]
    request = PrepareRequest(key=key, data=data, resolutions=sizes, weights=weights)
    assert jobs.run("prepare", workplace.put(request)) == 0
    return workplace.result(key, PrepareResult)


@pytest.fixture
def prepared(workplace: Workplace, own_data: DataLocation) -> Prepared:
    return told_of(workplace, own_data)


def told_of(workplace: Workplace, data: DataLocation) -> Prepared:
    result = prepare(workplace, data)
    told = {"data": data, "annotations": result.annotations, "pictures": result.image_listing}
    return Prepared(Path(data.root.removeprefix("file://")), result, told)


def test_every_image_is_recorded_with_size_and_digest(
    workplace: Workplace, prepared: Prepared
) -> None:
    assert prepared.result.image_listing is not None
    path = fetch_artifact(workplace.store, prepared.result.image_listing)
    listing = ImageListing.model_validate_json(path.read_bytes())
    assert {split: [*images] for split, images in listing} == {
        "train": ["0.png", "1.png", "2.png"],
        "val": ["0.png", "1.png"],
    }
    image = prepared.root / "val" / "1.png"
    assert listing.val["1.png"] == (image.stat().st_size, sha256_of(image))


def test_the_same_images_elsewhere_are_the_same_and_others_are_others(
    workplace: Workplace, prepared: Prepared
) -> None:
    def images_in(folder: str) -> str:
        elsewhere = prepared.told["data"].model_copy(update={"train_images": folder})
        found = prepare(workplace, elsewhere)
        assert found.digest == prepared.result.digest
        assert found.image_listing is not None
        return found.image_listing.sha256

    assert prepared.result.image_listing is not None
    shutil.copytree(prepared.root / "train", prepared.root / "thermal")
    assert images_in("thermal") == prepared.result.image_listing.sha256
    shutil.copy(prepared.root / "train" / "0.png", prepared.root / "thermal" / "1.png")
    assert images_in("thermal") != prepared.result.image_listing.sha256


def requests(workplace: Workplace, told: dict[str, Any]) -> dict[str, Any]:
    """A request of each verb; what else they name is only read once the data was compared."""
    common = {name: v for name, v in workplace.common.items() if name != "architecture"} | told
    trains = {**common, "training": training(1)}
    architecture = workplace.common["architecture"]
    return {
        "base": workplace.base_request(KEY, **told),
        "pool": PoolPhaseRequest(
            key="pool", phase=0, supernet=SHAPE, full_space=SPACE, space=SPACE, **trains
        ),
        "evaluate": StudentRequest(
            key="trial", parent=architecture, parent_weights=UNSEEN, **trains
        ),
        "finetune": StudentRequest(
            key="tuned", kind="Finetune", parent=architecture, parent_weights=UNSEEN, **trains
        ),
        "export": ExportRequest(
            key="export",
            architecture=architecture,
            weights=UNSEEN,
            resolution=common["resolutions"][0],
            expected_map=0.5,
            base=architecture,
            base_weights=UNSEEN,
            base_resolution=common["resolutions"][0],
            classes=common["classes"],
            detector=common["detector"],
            **told,
        ),
    }


@pytest.mark.parametrize("name", ["val.json", "val/0.png"])
@pytest.mark.parametrize("verb", ["base", "pool", "evaluate", "finetune", "export"])
def test_every_job_refuses_other_data_and_leaves_no_result(
    workplace: Workplace,
    prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    name: str,
) -> None:
    request = requests(workplace, prepared.told)[verb]
    monkeypatch.setenv("DETNAS_TERMINATION_LOG", str(workplace.root / "last-words"))
    prepared.change(name)
    assert jobs.run(verb, workplace.put(request)) == 44
    said = (workplace.root / "last-words").read_text()
    assert said.startswith("Data changed: ")
    assert f"{prepared.root / name}" in said
    assert "; restore the old data, or give the search" in said
    assert workplace.store.get(f"{request.key}/result.json") is None


def test_with_the_old_data_the_job_goes_on(workplace: Workplace, prepared: Prepared) -> None:
    uri = workplace.put(workplace.base_request(KEY, **prepared.told))
    (prepared.root / "train" / "0.png").rename(prepared.root / "away")
    assert jobs.run("base", uri) == 44
    (prepared.root / "away").rename(prepared.root / "train" / "0.png")
    assert jobs.run("base", uri) == 0
    assert workplace.result(KEY, DetectorResult).attempt == 2


Error = Callable[[], Exception]


@pytest.mark.parametrize(
    "error",
    [None, lambda: DivergedError("the loss is nan"), lambda: ValueError("a bug")],
    ids=["succeeds", "diverges", "crashes"],
)
def test_data_that_changes_under_a_job_is_no_verdict_however_it_ends(
    workplace: Workplace,
    prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    error: Error | None,
) -> None:
    def change_and_score(*arguments: Any) -> Any:
        found = score_at(*arguments)
        assert checkpoints(workplace)
        prepared.change("train.json")
        if error is not None:
            raise error()
        return found

    uri = workplace.put(workplace.base_request(KEY, **prepared.told))
    monkeypatch.setenv("DETNAS_CHECKPOINT_SECONDS", "0")
    with monkeypatch.context() as patch:
        patch.setattr(base_job, "score_at", change_and_score)
        assert jobs.run("base", uri) == 44
    assert workplace.store.get(f"{KEY}/result.json") is None
    assert not checkpoints(workplace), "who knows which data they were made with"
    prepared.restore("train.json")
    assert jobs.run("base", uri) == 0
    assert workplace.result(KEY, DetectorResult).iterations > 0


@pytest.mark.parametrize("error", [Interrupted, SystemExit], ids=["is stopped", "is killed"])
def test_a_checkpoint_that_other_data_may_be_in_is_not_resumed_from(
    workplace: Workplace,
    prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    def change_and_end(*_: Any) -> Any:
        prepared.change("train.json")
        raise error

    uri = workplace.put(workplace.base_request(KEY, **prepared.told))
    monkeypatch.setenv("DETNAS_CHECKPOINT_SECONDS", "0")
    with monkeypatch.context() as patch:
        patch.setattr(base_job, "score_at", change_and_end)
        assert jobs.run("base", uri) != 0
    assert checkpoints(workplace)
    assert jobs.run("base", uri) == 44
    assert not checkpoints(workplace), "who knows which data they were made with"


def checkpoints(workplace: Workplace) -> list[str]:
    return [key for key in workplace.store.list(f"{KEY}/") if "/checkpoint" in key]


def test_a_file_that_is_only_touched_is_no_other_data(
    workplace: Workplace, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touch_and_score(*arguments: Any) -> Any:
        for path in (*prepared.root.glob("*.json"), *prepared.root.rglob("*.png")):
            path.touch()
        return score_at(*arguments)

    monkeypatch.setattr(base_job, "score_at", touch_and_score)
    assert jobs.run("base", workplace.put(workplace.base_request(KEY, **prepared.told))) == 0


def test_of_a_data_set_in_a_store_its_own_place_is_named(
    workplace: Workplace, own_data: DataLocation, capsys: pytest.CaptureFixture[str]
) -> None:
    there = own_data.model_copy(update={"root": Path(own_data.root).as_uri()})
    prepared = told_of(workplace, there)
    prepared.change("train/2.png")
    shutil.rmtree(workplace.root / "cache")  # another pod
    assert jobs.run("base", workplace.put(workplace.base_request(KEY, **prepared.told))) == 44
    said = f"1 of 3 training images has changed (first {there.root}/train/2.png)"
    assert said in capsys.readouterr().err
    (prepared.root / "val.json").unlink()
    shutil.rmtree(workplace.root / "cache")
    assert jobs.run("base", f"{workplace.store.uri}/{KEY}") == 44
    assert f"val: {there.root}/val.json does not exist;" in capsys.readouterr().err


@pytest.mark.parametrize("remote", [False, True], ids=["path", "uri"])
def test_the_base_starts_only_from_the_checkpoint_that_was_seen(
    workplace: Workplace,
    prepared: Prepared,
    capsys: pytest.CaptureFixture[str],
    remote: bool,
) -> None:
    first = workplace.base_request("local/first/base", training=training(1))
    assert jobs.run("base", workplace.put(first)) == 0
    trained = fetch_artifact(
        workplace.store, workplace.result(first.key, DetectorResult).weights
    ).read_bytes()
    path = workplace.root / "base.safetensors"
    path.write_bytes(trained)
    weights = path.as_uri() if remote else str(path)
    seen = prepare(workplace, prepared.told["data"], weights).weights
    assert seen == sha256_of(path)

    fields = {"weights": weights, "weights_sha256": seen, "training": training(0), **prepared.told}
    uri = workplace.put(workplace.base_request(KEY, **fields))
    path.write_bytes(trained[:-1] + bytes([trained[-1] ^ 1]))
    assert jobs.run("base", uri) == 44
    assert f"since the search was prepared: base.weights {weights} has changed" in (
        capsys.readouterr().err
    )
    path.write_bytes(trained)
    assert jobs.run("base", uri) == 0


@pytest.mark.parametrize("weights", ["nowhere.pth", "file:///nowhere/base.pth", "https://a/b.pth"])
def test_a_checkpoint_that_cannot_be_read_is_left_for_the_base_job_to_refuse(
    workplace: Workplace, tiny_data: DataLocation, weights: str
) -> None:
    assert prepare(workplace, tiny_data, weights).weights == ""


def test_a_request_of_an_earlier_version_is_carried_out(
    workplace: Workplace, prepared: Prepared
) -> None:
    request = workplace.base_request(KEY, data=prepared.told["data"], training=training(1))
    written = json.loads(canonical_json(request))
    assert not {"pictures", "weightsSha256"} & set(written)
    prepared.change("train/0.png")
    assert jobs.run("base", workplace.put(request)) == 0


def test_a_listing_that_is_gone_is_no_changed_data(
    workplace: Workplace, prepared: Prepared
) -> None:
    assert prepared.result.image_listing is not None
    workplace.store.delete(prepared.result.image_listing.key)
    shutil.rmtree(workplace.root / "cache", ignore_errors=True)
    assert jobs.run("base", workplace.put(workplace.base_request(KEY, **prepared.told))) == 1
    assert load_record(workplace.store, f"{KEY}/result.json", DetectorResult) is None
