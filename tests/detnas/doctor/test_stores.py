"""A store's promises, and files in S3, with a real server."""

import uuid
from pathlib import Path

import pytest

from detnas.doctor.stores import s3_data_findings, store_findings
from detnas.findings import Finding, Verdict
from detnas.spec import read_manifest
from tests.cluster.searches import manifest
from tests.seaweed import S3Server


@pytest.fixture
def root(s3_environment: S3Server) -> str:
    return f"s3://{s3_environment.bucket}/{uuid.uuid4().hex}"


def test_a_store_that_keeps_its_promises_is_left_empty(s3_environment: S3Server, root: str) -> None:
    found = list(store_findings(root))
    assert [one.verdict for one in found] == [Verdict.OK, Verdict.OK]
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    left = s3_environment.client().list_objects_v2(Bucket=bucket, Prefix=prefix)
    names = [one["Key"].rpartition("/")[2] for one in left.get("Contents", ())]
    assert names in ([], ["probe"])  # what every store of searches has


def test_wrong_keys_are_named_with_their_remedy(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    (found,) = store_findings(root)
    assert found.verdict is Verdict.FAULT
    assert "AWS_ACCESS_KEY_ID" in found.remedy


def test_a_bucket_that_does_not_exist_is_a_fault(s3_environment: S3Server) -> None:
    (found,) = store_findings("s3://no-such-bucket/x")
    assert "the bucket does not exist" in found.found


def test_a_store_that_overwrites_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.link", lambda source, target: Path(target).write_bytes(b"overwritten"))
    written, kept = store_findings(tmp_path.as_uri())
    assert (written.verdict, kept.verdict) == (Verdict.OK, Verdict.FAULT)
    assert "If-None-Match" in kept.remedy


def test_every_file_in_s3_that_a_manifest_names_is_looked_for(
    s3_environment: S3Server, root: str
) -> None:
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    s3_environment.client().put_object(Bucket=bucket, Key=f"{prefix}/t.json", Body=b"{}")
    sections = {
        "base": {"model": "faster-rcnn-r18-fpn", "weights": f"{root}/r18.pth"},
        "dataset": {"source": {"s3": root}, "train": "t.json", "val": "v.json"},
    }
    spec = read_manifest(manifest("one", sections), "one").spec
    found: dict[str, Finding] = {one.what.split()[0]: one for one in s3_data_findings(spec)}
    assert {name: one.verdict.value for name, one in found.items()} == {
        "spec.dataset.train": "ok",
        "spec.dataset.val": "fault",
        "spec.base.weights": "fault",
    }
    assert found["spec.dataset.val"].found == "does not exist"
