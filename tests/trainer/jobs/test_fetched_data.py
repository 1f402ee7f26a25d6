"""Jobs whose data set is in a store."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from detnas.records.exports import ExportFormat, ExportSettings, FilePrecision
from detnas.records.requests import ExportRequest
from detnas.records.results import Outcome
from detnas.records.settings import DataLocation
from detnas.store import open_store
from detnas_trainer.jobs.verbs import export as export_job
from detnas_trainer.jobs.verbs.portable_files import PortableFiles
from detnas_trainer.training.interruption import Interruption
from tests.seaweed import S3Server
from tests.trainer.conftest import Workplace, training
from tests.trainer.jobs.test_export import exported


@pytest.fixture
def remote_data(own_data: DataLocation) -> DataLocation:
    """A damageable data set, named by a URI."""
    return own_data.model_copy(update={"root": Path(own_data.root).as_uri()})


def test_jobs_on_a_dataset_in_s3_find_what_they_find_on_a_local_one(
    s3_environment: S3Server, workplace: Workplace, tiny_data: DataLocation
) -> None:
    root = f"s3://{s3_environment.bucket}/jobs/data"
    store = open_store(root)
    for path in Path(tiny_data.root).rglob("*.*"):
        store.put(str(path.relative_to(tiny_data.root)), path.read_bytes())
    there = tiny_data.model_copy(update={"root": root})

    expected = workplace.succeed(workplace.prepare_request("local/here/prepare"))
    prepared = workplace.succeed(workplace.prepare_request("local/there/prepare", data=there))
    assert prepared.digest == expected.digest
    assert "fetching" in prepared.seconds

    common = {"data": there, "annotations": prepared.annotations}
    base, local = (
        workplace.succeed(workplace.base_request(key, training=training(1), **changes))
        for key, changes in (("local/there/base", common), ("local/here/base", {}))
    )
    assert base.weights.sha256 == local.weights.sha256

    shutil.rmtree(workplace.root / "cache")  # another node
    student = workplace.student_request(
        "local/there/trials/0000", parent_weights=base.weights, training=training(0), **common
    )
    assert workplace.succeed(student).scores == base.scores

    shutil.rmtree(workplace.root / "cache")
    export = workplace.export_request("local/there/best", data=there, **exported(base))
    assert workplace.succeed(export).map == base.scores[-1].map
    assert not list((workplace.root / "cache").rglob("train.json"))  # it is not looked at


def test_prepare_names_missing_and_broken_images_by_the_datasets_own_uri(
    workplace: Workplace, remote_data: DataLocation, own_data: DataLocation
) -> None:
    root = Path(own_data.root)
    (root / "train" / "1.png").unlink()
    (root / "val" / "0.png").write_bytes(b"no image")
    result = workplace.succeed(workplace.prepare_request("local/a/prepare", data=remote_data))
    assert result.outcome is Outcome.INVALID
    assert f"{remote_data.root}/train/1.png: missing" in result.missing
    assert f"{remote_data.root}/val/0.png: cannot be read" in result.message


@pytest.mark.parametrize(
    ("content", "named"), [(None, "val.json does not exist"), (b"{", "val.json is no JSON")]
)
def test_prepare_refuses_annotations_that_cannot_be_used(
    workplace: Workplace,
    remote_data: DataLocation,
    own_data: DataLocation,
    content: bytes | None,
    named: str,
) -> None:
    path = Path(own_data.root) / "val.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    result = workplace.succeed(workplace.prepare_request("local/a/prepare", data=remote_data))
    assert result.outcome is Outcome.INVALID
    assert f"{remote_data.root}/{named}" in result.message


def test_image_gone_since_prepare_is_a_change_of_the_data(
    workplace: Workplace,
    remote_data: DataLocation,
    own_data: DataLocation,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (Path(own_data.root) / "val" / "1.png").unlink()
    assert workplace.run(workplace.base_request("local/a/base", data=remote_data)) == 44
    said = f"annotated images are gone (1, first {remote_data.root}/val/1.png)"
    assert said in capsys.readouterr().err
    assert not workplace.has_result("local/a/base")


def test_fetch_stopped_keeps_what_has_arrived(
    workplace: Workplace, remote_data: DataLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Interruption.check

    def ask_once_an_image_is_here(interruption: Interruption) -> None:
        interruption.requested = any((workplace.root / "cache").rglob("*.png"))
        check(interruption)

    request = workplace.base_request("local/a/base", data=remote_data)
    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "check", ask_once_an_image_is_here)
        assert workplace.run(request) == 75
    assert list((workplace.root / "cache").rglob("*.png"))
    assert workplace.progress("local/a/base").activity == "fetching data"
    assert workplace.run(request) == 0


@pytest.fixture
def int8(workplace: Workplace, remote_data: DataLocation) -> ExportRequest:
    """An export of a base on the remote data set, calibrated on two of three training images."""
    prepared = workplace.succeed(workplace.prepare_request("local/a/prepare", data=remote_data))
    common = {"data": remote_data, "annotations": prepared.annotations}
    base = workplace.succeed(workplace.base_request("local/a/base", training=training(1), **common))
    files = ExportSettings(
        formats=(ExportFormat.ONNX,), precisions=(FilePrecision.INT8,), calibration_images=2
    )
    common["image_listing"] = prepared.image_listing
    shutil.rmtree(workplace.root / "cache")  # another node
    request: ExportRequest = workplace.export_request(
        "local/a/best", files=files, **common, **exported(base)
    )
    return request


def without_files(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Let the export write no files but mmdet's; return the images it would calibrate with."""
    seen: list[tuple[str, ...]] = []

    def write_files(_job: Any, _folder: Any, _state: Any, calibration: Any, _found: Any) -> Any:
        seen.append(calibration)
        return PortableFiles((), [], "")

    monkeypatch.setattr(export_job, "write_files", write_files)
    return seen


def test_export_fetches_only_the_training_images_that_it_calibrates_with(
    workplace: Workplace, int8: ExportRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = without_files(monkeypatch)
    workplace.succeed(int8)
    ((first, second),) = seen
    cache = workplace.root / "cache"
    assert {path.name for path in cache.rglob("train/*.png")} == {first, second}
    assert not list(cache.rglob("train.json"))
    assert len(list(cache.rglob("val/*.png"))) == 2


def test_changed_calibration_image_is_a_change_of_the_data(
    workplace: Workplace,
    int8: ExportRequest,
    own_data: DataLocation,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = without_files(monkeypatch)
    for path in (Path(own_data.root) / "train").iterdir():
        path.write_bytes(path.read_bytes() + b"more")
    assert workplace.run(int8) == 44
    assert "2 of 2 training images have changed" in capsys.readouterr().err
    assert not seen
