"""Data that changes under a search, with real training: it stops until the old data is back."""

import json
import os
from pathlib import Path

import pytest

from tests.e2e.commands import SECONDS, run, start, wait_until
from tests.e2e.data_sets import tiny_manifest, tiny_search, write_manifest
from tests.e2e.search_folder import SearchFolder

pytestmark = pytest.mark.slow


def test_run_stops_on_changed_data_and_continues_with_the_old(tmp_path: Path) -> None:
    search = SearchFolder(tiny_search(tmp_path), tmp_path / "store")
    command = ("run", search.manifest, "--store", search.store)
    first = run(*command)
    assert first.returncode == 0, first.stderr
    finished = search.stamps()

    labels = tmp_path / "data" / "train.json"
    old = labels.read_bytes()
    document = json.loads(old)
    labels.write_text(json.dumps({**document, "annotations": document["annotations"][:8]}))
    refused = run(*command)
    said = f"the training annotations {labels} have changed"
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "exported" not in refused.stdout
    assert said in run("status", search.path).stdout
    assert search.stamps() == finished

    labels.write_bytes(old)
    again = run(*command)
    assert again.returncode == 0, again.stderr
    assert search.stamps() == finished

    write_manifest(tmp_path, tiny_manifest(trials=2))
    image = tmp_path / "data" / "val" / "3.png"
    old = image.read_bytes()
    trial = search.path / "trials" / "0001"
    log = tmp_path / "log.txt"
    process = start(*command, log=log)
    try:
        wait_until((trial / "attempts" / "1" / "attempt.json").exists, process, log)
        replace(image, old[::-1])
        assert process.wait(SECONDS) == 1, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert f"1 of 6 validation images has changed (first {image})" in log.read_text()
    assert not (trial / "result.json").exists()

    replace(image, old)
    last = run(*command)
    assert last.returncode == 0, last.stderr
    assert {name: result["outcome"] for name, result in search.results().items()} == {
        "0000": "Succeeded",
        "0001": "Succeeded",
    }


def replace(path: Path, content: bytes) -> None:
    """Give a file other content at once, and its old date."""
    then = path.stat()
    new = path.with_name("new")
    new.write_bytes(content)
    os.utime(new, ns=(then.st_atime_ns, then.st_mtime_ns))
    new.replace(path)
