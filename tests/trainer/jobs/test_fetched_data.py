"""Jobs whose data set lies in a store."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from detnas.records.progress import Progress
from detnas.records.requests import ExportRequest, PrepareRequest, StudentRequest
from detnas.records.results import DetectorResult, ExportResult, Outcome, PrepareResult
from detnas.records.settings import DataLocation
from detnas.store import open_store
from detnas.store.artifacts import load_record
from detnas_trainer import jobs
from detnas_trainer.training.interruption import Interruption
from tests.seaweed import S3Server
from tests.trainer.conftest import Workplace, training


@pytest.fixture
def remote_data(own_data: DataLocation) -> DataLocation:
    """A damageable data set, named by a URI."""
    return own_data.model_copy(update={"root": Path(own_data.root).as_uri()})


def _prepare(workplace: Workplace, data: DataLocation, key: str) -> tuple[int, PrepareResult]:
    request = PrepareRequest(key=key, data=data, resolutions=workplace.common["resolutions"])
    code = jobs.run("prepare", workplace.put(request))
    return code, workplace.result(key, PrepareResult)


def test_all_jobs_read_a_data_set_in_s3_and_find_what_they_find_here(
    s3_environment: S3Server, workplace: Workplace, tiny_data: DataLocation
) -> None:
    root = f"s3://{s3_environment.bucket}/jobs/data"
    store = open_store(root)
    for path in Path(tiny_data.root).rglob("*.*"):
        store.put(str(path.relative_to(tiny_data.root)), path.read_bytes())
    there = tiny_data.model_copy(update={"root": root})

    _, expected = _prepare(workplace, tiny_data, "local/here/prepare")
    code, prepared = _prepare(workplace, there, "local/there/prepare")
    assert (code, prepared.digest) == (0, expected.digest)
    assert "fetching" in prepared.seconds

    seen = tuple(split.sha256 for split in (prepared.train, prepared.val) if split)
    common = {"data": there, "annotations": seen, "training": training(1)}
    base = workplace.base_request("local/there/base", **common)
    local = workplace.base_request("local/here/base", training=training(1))
    assert [jobs.run("base", workplace.put(request)) for request in (base, local)] == [0, 0]
    result = workplace.result(base.key, DetectorResult)
    assert result.weights.sha256 == workplace.result(local.key, DetectorResult).weights.sha256

    shutil.rmtree(workplace.root / "cache")  # another node
    fields = {n: v for n, v in workplace.common.items() if n != "architecture"} | common
    student = StudentRequest(
        key="local/there/trials/0000",
        parent=workplace.common["architecture"],
        parent_weights=result.weights,
        **{**fields, "training": training(0)},
    )
    assert jobs.run("evaluate", workplace.put(student)) == 0
    assert workplace.result(student.key, DetectorResult).scores == result.scores

    shutil.rmtree(workplace.root / "cache")
    assert jobs.run("export", workplace.put(_export(workplace, there, result))) == 0
    assert workplace.result("local/there/best", ExportResult).map == result.scores[-1].map
    assert not list((workplace.root / "cache").rglob("train.json"))  # it is not looked at


def _export(workplace: Workplace, data: DataLocation, result: DetectorResult) -> ExportRequest:
    common: dict[str, Any] = {name: workplace.common[name] for name in ("classes", "detector")}
    architecture = workplace.common["architecture"]
    return ExportRequest(
        key="local/there/best",
        data=data,
        architecture=architecture,
        weights=result.weights,
        resolution=result.scores[-1].resolution,
        expected_map=result.scores[-1].map,
        base=architecture,
        base_weights=result.weights,
        base_resolution=result.scores[0].resolution,
        **common,
    )


def test_prepare_names_what_is_missing_and_broken_by_its_own_place(
    workplace: Workplace, remote_data: DataLocation, own_data: DataLocation
) -> None:
    root = Path(own_data.root)
    (root / "train" / "1.png").unlink()
    (root / "val" / "0.png").write_bytes(b"no image")
    code, result = _prepare(workplace, remote_data, "local/a/prepare")
    assert (code, result.outcome) == (0, Outcome.INVALID)
    assert f"{remote_data.root}/train/1.png: missing" in result.missing
    assert f"{remote_data.root}/val/0.png: cannot be read" in result.message


@pytest.mark.parametrize(
    ("content", "named"), [(None, "val.json does not exist"), (b"{", "val.json is no JSON")]
)
def test_prepare_refuses_annotations_that_can_not_be_used(
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
    code, result = _prepare(workplace, remote_data, "local/a/prepare")
    assert (code, result.outcome) == (0, Outcome.INVALID)
    assert f"{remote_data.root}/{named}" in result.message


def test_a_image_that_is_gone_by_now_is_a_change_of_the_data(
    workplace: Workplace,
    remote_data: DataLocation,
    own_data: DataLocation,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (Path(own_data.root) / "val" / "1.png").unlink()
    request = workplace.base_request("local/a/base", data=remote_data)
    assert jobs.run("base", workplace.put(request)) == 44
    said = f"annotated images are gone (1, first {remote_data.root}/val/1.png)"
    assert said in capsys.readouterr().err
    assert workplace.store.get("local/a/base/result.json") is None


def test_asked_to_stop_while_fetching_it_keeps_what_has_arrived(
    workplace: Workplace, remote_data: DataLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Interruption.check

    def ask_once_an_image_is_here(interruption: Interruption) -> None:
        interruption.requested = any((workplace.root / "cache").rglob("*.png"))
        check(interruption)

    uri = workplace.put(workplace.base_request("local/a/base", data=remote_data))
    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "check", ask_once_an_image_is_here)
        assert jobs.run("base", uri) == 75
    assert list((workplace.root / "cache").rglob("*.png"))
    key = "local/a/base/attempts/1/progress.json"
    progress = load_record(workplace.store, key, Progress)
    assert progress is not None
    assert progress.activity == "fetching data"
    assert jobs.run("base", uri) == 0
