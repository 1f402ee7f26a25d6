"""The warmed server, with the real imports and the real jobs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
import torch

from detnas_trainer.warm import visible_devices
from tests.detnas.searches.local_run import ends


@pytest.mark.slow
def test_warmed_server_runs_real_jobs_and_takes_its_children_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    log = tmp_path / "log.txt"
    process = subprocess.Popen(
        [sys.executable, "-m", "detnas_trainer.warm"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "server.txt").open("w"),
        env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_DISPLAY_ENV": "TRUE"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"ready": True, "devices": []}
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in (tmp_path / "server.txt").read_text()

    ask(process.stdin, {"id": "a", "verb": "evaluate", "uri": tmp_path.as_uri(), "log": str(log)})
    assert json.loads(process.stdout.readline()) == {"id": "a", "exit": 2}
    assert "holds no request.json" in log.read_text()

    fifo = tmp_path / "fifo" / "request.json"  # a job that waits for a request for ever
    fifo.parent.mkdir()
    os.mkfifo(fifo)
    ask(process.stdin, {"id": "b", "verb": "base", "uri": fifo.parent.as_uri(), "log": str(log)})
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (child := children.read_text().split()):
        pass
    process.stdin.close()
    assert process.wait(120) == 0
    assert ends(int(child[0]))


def ask(requests: IO[bytes], request: dict[str, str]) -> None:
    requests.write(json.dumps(request).encode() + b"\n")
    requests.flush()


def test_visible_devices_names_what_cuda_visible_devices_names_as_far_as_they_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5,3,absent")
    assert visible_devices() == ("GPU-5", "3")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_devices() == ("0", "1")


def test_visible_devices_leaves_cuda_untouched_in_this_process() -> None:
    assert visible_devices() == ()
    assert not torch.cuda.is_initialized()
