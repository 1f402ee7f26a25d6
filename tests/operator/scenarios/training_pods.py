"""Pods that train a pool for real, as processes of this machine, and what may befall them."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detnas.store import Store
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pod_process import environment_of, runs_its_command
from tests.cluster.pods import Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.ports import free_ports
from tests.trainer.conftest import write_data_set

EPOCHS = 6
STEPS = 3 * EPOCHS
TINY: dict[str, Any] = {
    "resolutions": ["48x48", "64x64"],
    "detector": {"neck": 8, "fc": 16, "proposals": 20, "roiSamples": 16, "anchorScale": 2},
    "teachers": {
        "supernet": {
            "family": "Basic",
            "stem": 8,
            "inner": [8, 8, 8, 8],
            "outputs": [8, 8, 12, 16],
            "neck": 8,
        },
        "depths": {"min": [1, 1, 1, 1], "max": [1, 1, 1, 1]},
        "widths": ["1.0"],
        "batchSize": 4,
        "warmupIterations": 0,
        "bnImages": 4,
        "phases": [{"epochs": EPOCHS, "learningRate": "0.01"}],
        "workers": 2,
        "gpusPerWorker": 0,
    },
}
"""Sections of a search whose pool two pods train on their cores in seconds."""


def upload_data(store: Store, folder: Path) -> dict[str, Any]:
    """Put a tiny data set into a store; return the section of a search that trains on it."""
    write_data_set(folder)
    for path in sorted(folder.rglob("*.*")):
        store.upload_file(f"data/{path.relative_to(folder)}", path)
    return {
        "source": {"s3": f"{store.uri}/data"},
        "train": "train.json",
        "val": "val.json",
        "trainImages": "train",
        "valImages": "val",
    }


@dataclass
class TrainingPods:
    """Runs the pods of pools, and lets something befall the first ones of a worker.

    Attributes:
        folder: for what would be the pods' own volumes.
        trainer: whose stores the jobs lie in.
        ends: exit codes by pod.
        environments: what each pod's container was given, by pod.
    """

    folder: Path
    trainer: PretendedTrainer
    ends: dict[str, int] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    _ports: dict[str, int] = field(default_factory=dict)

    def befallen(self, worker: int, fate: Callable[[PlayedPod], Awaitable[None]]) -> Script:
        """Train; let one worker's pod meet its fate once there is a checkpoint."""

        async def script(pod: PlayedPod) -> None:
            async with asyncio.TaskGroup() as tasks:
                work = tasks.create_task(self.train(pod))
                if pod.index != worker:
                    return
                while await asyncio.to_thread(self.step, pod) < 2:
                    assert not work.done(), pod.log
                    await asyncio.sleep(0.1)
                await fate(pod)

        return script

    async def train(self, pod: PlayedPod) -> None:
        """Do what the pod's command says, to the end."""
        own = self.folder / pod.name
        own.mkdir()
        # Names of pods resolve in a cluster only: the workers meet on this machine.
        port = self._ports.setdefault(pod.job, free_ports(1)[0])
        local = {
            "DETNAS_RENDEZVOUS": f"127.0.0.1:{port}",
            "DETNAS_CACHE": str(own),
            "DETNAS_TERMINATION_LOG": str(own / "last-words"),
        }
        self.environments[pod.name] = await environment_of(pod)
        try:
            await runs_its_command(local)(pod)
        finally:
            if pod.exit_code is not None:
                self.ends[pod.name] = pod.exit_code

    def step(self, pod: PlayedPod) -> int:
        """Steps that the checkpoints of the pod's job hold."""
        store = self.trainer.store(pod.uri)
        keys = [key for key in store.list("attempts/") if key.endswith("/checkpoint.json")]
        records = [json.loads(stored.data) for key in keys if (stored := store.get(key))]
        return max((int(record["iteration"]) for record in records), default=0)


async def loses_its_rank(pod: PlayedPod) -> None:
    """Have its training process killed, as for its memory; the container runs on."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        its_own = {b"detnas_trainer.launching.rank_process", pod.uri.encode()} <= {*words}
        if its_own and f"RANK={pod.index}".encode() in variables:
            os.kill(int(folder.name), signal.SIGKILL)
            return
    raise AssertionError(f"{pod.name} has no rank: {pod.log}")
