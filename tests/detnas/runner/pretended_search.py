"""A search whose jobs only pretend, run in a process of its own as a user would run it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ENCODING = "[(16, 16)-(16, 16)], [(32, 32)-(32, 32)], [(64, 64)-(64, 64)], [(64, 64)]"
ROOT = Path(__file__).parents[3]
PATIENCE = 180.0
PHASES = [{"epochs": 1, "learningRate": "0.1"}, {"epochs": 1, "learningRate": "0.05"}]


@dataclass
class PretendedSearch:
    """A folder with a manifest, a store and what the pretending trainer is told."""

    folder: Path
    name: str = "tiny"
    spec: dict[str, Any] = field(default_factory=dict)
    store: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.write()

    def write(self, **search: Any) -> None:
        """Write the manifest; keywords replace fields of `spec.search`."""
        (self.folder / "search.yaml").write_text(yaml.safe_dump(self.manifest(**search)))
        if self.store:
            (self.folder / "store.txt").write_text(self.store)

    def manifest(self, **search: Any) -> dict[str, Any]:
        """Return the manifest; keywords replace fields of `spec.search`."""
        spec = {
            "base": {"architecture": ENCODING, "stem": 16, "train": {"epochs": 1}},
            "dataset": {"source": {"directory": "data"}, "train": "t.json", "val": "v.json"},
            "resolutions": ["64x64", "128x128"],
            "teachers": {"phases": PHASES},
            "search": {"trials": 6, "topK": 2, "warmupTrials": 1, "seed": 3, **search},
            **self.spec,
        }
        return {
            "apiVersion": "detnas.dev/v1alpha1",
            "kind": "DetNASSearch",
            "metadata": {"name": self.name},
            "spec": spec,
        }

    def faults(self, faults: dict[str, list[str]]) -> None:
        """What goes wrong: the end of a job's key to what its attempts do, in order."""
        (self.folder / "faults.json").write_text(json.dumps(faults))

    def start(self, parallelism: int = 1) -> subprocess.Popen[str]:
        """Run it in the background."""
        command = [sys.executable, "-m", "tests.detnas.runner.run_search", str(self.folder)]
        return subprocess.Popen(
            [*command, str(parallelism)],
            cwd=ROOT,
            env={**os.environ, "DETNAS_CACHE": str(self.folder / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, parallelism: int = 1, exit_code: int = 0) -> str:
        """Run it to its end, which must be this exit code, and return what it printed."""
        process = self.start(parallelism)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == exit_code, output
        return output

    @property
    def root(self) -> Path:
        """The store, where it is a folder."""
        return Path(self.store) if self.store else self.folder / "store"

    @property
    def search(self) -> Path:
        """The search's folder in such a store."""
        (folder,) = (self.root / "local" / "searches").glob(f"{self.name}-*")
        return folder

    def records(self, pattern: str = "**/*.json") -> dict[str, dict[str, Any]]:
        """Records of the search by their place in it."""
        return {
            path.relative_to(self.search).as_posix(): json.loads(path.read_text())
            for path in sorted(self.search.glob(pattern))
        }

    def results(self) -> dict[str, bytes]:
        """Every result in the store, of the pool too, as it was written."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted((self.root / "local").rglob("result.json"))
        }

    def proposals(self) -> list[dict[str, Any]]:
        """What each trial was to try, in order."""
        return [record["trial"] for record in self.records("trials/*/request.json").values()]

    def starts(self) -> list[tuple[str, int]]:
        """Key and process of every attempt that began, in order."""
        path = self.folder / "starts.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(key, int(pid)) for key, pid in (line.split() for line in lines)]

    def stops(self) -> list[str]:
        """Last part of the key of every job that stopped when it was asked to, in order."""
        path = self.folder / "stops.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [key.rpartition("/")[2] for key in lines]

    def wait_for(self, key_end: str) -> int:
        """Wait until a job begins, and return its process."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for key, pid in self.starts():
                if key.endswith(key_end):
                    return pid
            time.sleep(0.01)
        raise TimeoutError(key_end)


def ends(pid: int, seconds: float = PATIENCE) -> bool:
    """Whether a process ends within a time (it is no child of ours; a zombie has ended)."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False
