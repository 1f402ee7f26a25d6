"""Jobs that see other data than their search was prepared with: they leave no result."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from detnas.records.artifacts import Artifact, ImageListing
from detnas.records.requests import BaseRequest
from detnas.records.results import PrepareResult
from detnas.records.settings import DataLocation
from detnas.store.artifacts import fetch_artifact
from detnas.store.durable_files import sha256_of
from detnas.store.record_format import encode_record
from detnas_trainer.jobs.job import Job
from detnas_trainer.jobs.verbs import scoring
from detnas_trainer.jobs.verbs.scoring import score_at
from detnas_trainer.training.gradients import DivergedError
from detnas_trainer.training.interruption import Interrupted
from tests.trainer.conftest import Workplace, training

KEY = "local/searches/a-1/base"
UNSEEN = Artifact(key="nowhere", size=1, sha256="0" * 64)


@dataclass(frozen=True)
class Prepared:
    """A data set of its own that was prepared, and what later requests contain of it."""

    root: Path
    result: PrepareResult
    listing: Artifact
    stated: dict[str, Any]

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
    return workplace.succeed(workplace.prepare_request(key, data=data, weights=weights))


def prepared_of(workplace: Workplace, data: DataLocation) -> Prepared:
    result = prepare(workplace, data)
    assert result.image_listing is not None
    stated = {
        "data": data,
        "annotations": result.annotations,
        "image_listing": result.image_listing,
    }
    return Prepared(Path(data.root.removeprefix("file://")), result, result.image_listing, stated)


@pytest.fixture
def prepared(workplace: Workplace, own_data: DataLocation) -> Prepared:
    return prepared_of(workplace, own_data)


@pytest.fixture
def request_(workplace: Workplace, prepared: Prepared) -> BaseRequest:
    """A base job on the data set as it was prepared."""
    return workplace.base_request(KEY, **prepared.stated)


def test_prepare_lists_every_image_with_size_and_digest(
    workplace: Workplace, prepared: Prepared
) -> None:
    path = fetch_artifact(workplace.store, prepared.listing)
    listing = ImageListing.model_validate_json(path.read_bytes())
    assert {split: [*images] for split, images in listing} == {
        "train": ["0.png", "1.png", "2.png"],
        "val": ["0.png", "1.png"],
        "test": [],
    }
    image = prepared.root / "val" / "1.png"
    assert listing.val["1.png"] == (image.stat().st_size, sha256_of(image))


def test_image_listing_depends_on_contents_not_on_folders(
    workplace: Workplace, prepared: Prepared
) -> None:
    def images_in(folder: str) -> str:
        elsewhere = prepared.stated["data"].model_copy(update={"train_images": folder})
        found = prepare(workplace, elsewhere)
        assert found.digest == prepared.result.digest
        assert found.image_listing is not None
        return found.image_listing.sha256

    shutil.copytree(prepared.root / "train", prepared.root / "thermal")
    assert images_in("thermal") == prepared.listing.sha256
    shutil.copy(prepared.root / "train" / "0.png", prepared.root / "thermal" / "1.png")
    assert images_in("thermal") != prepared.listing.sha256


def later_request(workplace: Workplace, verb: str, stated: dict[str, Any]) -> Any:
    """A request of a verb; what else it names is only read once the data was compared."""
    sizes, unread = workplace.common["resolutions"], {"parent_weights": UNSEEN}
    match verb:
        case "base":
            return workplace.base_request(KEY, **stated)
        case "pool":
            return workplace.pool_request("pool", phase=0, **stated)
        case "evaluate":
            return workplace.student_request("trial", **unread, **stated)
        case "finetune":
            return workplace.student_request("tuned", kind="Finetune", **unread, **stated)
    ends = {"resolution": sizes[0], "base_resolution": sizes[0], "expected_map": 0.5}
    weights = {"weights": UNSEEN, "base_weights": UNSEEN}
    return workplace.export_request("export", **ends, **weights, **stated)


@pytest.mark.parametrize("name", ["val.json", "val/0.png"])
@pytest.mark.parametrize("verb", ["base", "pool", "evaluate", "finetune", "export"])
def test_every_verb_refuses_changed_data_without_a_result(
    workplace: Workplace,
    prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    name: str,
) -> None:
    request = later_request(workplace, verb, prepared.stated)
    message = workplace.root / "termination-message"
    monkeypatch.setenv("DETNAS_TERMINATION_LOG", str(message))
    prepared.change(name)
    assert workplace.run(request) == 44
    said = message.read_text()
    assert said.startswith("Data changed: ")
    assert f"{prepared.root / name}" in said
    assert "; restore the old data, or give the search" in said
    assert not workplace.has_result(request.key)


def test_job_succeeds_once_the_old_data_is_restored(
    workplace: Workplace, prepared: Prepared, request_: BaseRequest
) -> None:
    (prepared.root / "train" / "0.png").rename(prepared.root / "away")
    assert workplace.run(request_) == 44
    (prepared.root / "away").rename(prepared.root / "train" / "0.png")
    assert workplace.run(request_) == 0
    assert workplace.result(KEY).attempt == 2


Error = Callable[[], Exception]


@pytest.mark.parametrize(
    "error",
    [None, lambda: DivergedError("the loss is nan"), lambda: ValueError("a bug")],
    ids=["succeeds", "diverges", "crashes"],
)
def test_data_changed_during_a_job_leaves_no_result_however_it_ends(
    workplace: Workplace,
    prepared: Prepared,
    request_: BaseRequest,
    monkeypatch: pytest.MonkeyPatch,
    error: Error | None,
) -> None:
    def change_and_score(job: Job[Any], *arguments: Any, **named: Any) -> Any:
        found = score_at(job, *arguments, **named)
        job.checkpoints.wait()
        assert checkpoints(workplace)
        prepared.change("train.json")
        if error is not None:
            raise error()
        return found

    monkeypatch.setenv("DETNAS_CHECKPOINT_SECONDS", "0")
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score_at", change_and_score)
        assert workplace.run(request_) == 44
    assert not workplace.has_result(KEY)
    assert not checkpoints(workplace), "who knows which data they were made with"
    prepared.restore("train.json")
    assert workplace.run(request_) == 0
    assert workplace.result(KEY).iterations > 0


@pytest.mark.parametrize("error", [Interrupted, SystemExit], ids=["is stopped", "is killed"])
def test_checkpoint_possibly_made_with_changed_data_is_deleted(
    workplace: Workplace,
    prepared: Prepared,
    request_: BaseRequest,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    def change_and_end(*_: Any, **_named: Any) -> Any:
        prepared.change("train.json")
        raise error

    monkeypatch.setenv("DETNAS_CHECKPOINT_SECONDS", "0")
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score_at", change_and_end)
        assert workplace.run(request_) != 0
    assert checkpoints(workplace)
    assert workplace.run(request_) == 44
    assert not checkpoints(workplace), "who knows which data they were made with"


def checkpoints(workplace: Workplace) -> list[str]:
    return [key for key in workplace.store.list(f"{KEY}/") if "/checkpoint" in key]


def test_touched_file_is_no_changed_data(
    workplace: Workplace,
    prepared: Prepared,
    request_: BaseRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def touch_and_score(*arguments: Any, **named: Any) -> Any:
        for path in (*prepared.root.glob("*.json"), *prepared.root.rglob("*.png")):
            path.touch()
        return score_at(*arguments, **named)

    monkeypatch.setattr(scoring, "score_at", touch_and_score)
    assert workplace.run(request_) == 0


def test_change_of_a_dataset_in_a_store_names_its_own_uri(
    workplace: Workplace, own_data: DataLocation, capsys: pytest.CaptureFixture[str]
) -> None:
    there = own_data.model_copy(update={"root": Path(own_data.root).as_uri()})
    prepared = prepared_of(workplace, there)
    prepared.change("train/2.png")
    shutil.rmtree(workplace.root / "cache")  # another pod
    request = workplace.base_request(KEY, **prepared.stated)
    assert workplace.run(request) == 44
    said = f"1 of 3 training images has changed (first {there.root}/train/2.png)"
    assert said in capsys.readouterr().err
    (prepared.root / "val.json").unlink()
    shutil.rmtree(workplace.root / "cache")
    assert workplace.run(request) == 44
    assert f"val: {there.root}/val.json does not exist;" in capsys.readouterr().err


@pytest.mark.parametrize("remote", [False, True], ids=["path", "uri"])
def test_base_refuses_a_changed_checkpoint(
    workplace: Workplace,
    prepared: Prepared,
    capsys: pytest.CaptureFixture[str],
    remote: bool,
) -> None:
    first = workplace.base_request("local/first/base", training=training(1))
    assert workplace.run(first) == 0
    trained = fetch_artifact(workplace.store, workplace.result(first.key).weights).read_bytes()
    path = workplace.root / "base.safetensors"
    path.write_bytes(trained)
    weights = path.as_uri() if remote else str(path)
    seen = prepare(workplace, prepared.stated["data"], weights).weights
    assert seen == sha256_of(path)

    fields = {
        "weights": weights,
        "weights_sha256": seen,
        "training": training(0),
        **prepared.stated,
    }
    request = workplace.base_request(KEY, **fields)
    path.write_bytes(trained[:-1] + bytes([trained[-1] ^ 1]))
    assert workplace.run(request) == 44
    assert f"since the search was prepared: base.weights {weights} has changed" in (
        capsys.readouterr().err
    )
    path.write_bytes(trained)
    assert workplace.run(request) == 0


@pytest.mark.parametrize("weights", ["nowhere.pth", "file:///nowhere/base.pth", "https://a/b.pth"])
def test_prepare_ignores_a_checkpoint_that_cannot_be_read(
    workplace: Workplace, tiny_data: DataLocation, weights: str
) -> None:
    assert prepare(workplace, tiny_data, weights).weights == ""


def test_request_of_an_earlier_version_is_carried_out(
    workplace: Workplace, prepared: Prepared
) -> None:
    request = workplace.base_request(KEY, data=prepared.stated["data"], training=training(1))
    written = json.loads(encode_record(request))
    assert not {"pictures", "weightsSha256"} & set(written)
    prepared.change("train/0.png")
    assert workplace.run(request) == 0


def test_missing_listing_is_no_changed_data(
    workplace: Workplace, prepared: Prepared, request_: BaseRequest
) -> None:
    workplace.store.delete(prepared.listing.key)
    shutil.rmtree(workplace.root / "cache", ignore_errors=True)
    assert workplace.run(request_) == 1
    assert not workplace.has_result(KEY)
