"""A search's folder in a store on this machine, as a user finds it."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SearchFolder:
    """Where a search of these tests lies.

    Attributes:
        manifest: what it was started with.
        store: root of the store.
    """

    manifest: Path
    store: Path

    @property
    def path(self) -> Path:
        """The one search in the store."""
        (found,) = (self.store / "local" / "searches").iterdir()
        return found

    @property
    def exported(self) -> Path:
        """What the user takes away."""
        return self.path / "students" / "best"

    @property
    def trials(self) -> list[Path]:
        """Folders of the trials, in order."""
        return sorted((self.path / "trials").glob("*"))

    def record(self, name: str) -> dict[str, Any]:
        """A record below the search's folder."""
        found: dict[str, Any] = json.loads((self.path / name).read_text())
        return found

    def results(self) -> dict[str, dict[str, Any]]:
        """Result of every trial that has one, by its folder's name."""
        return {
            trial.name: json.loads((trial / "result.json").read_text())
            for trial in self.trials
            if (trial / "result.json").exists()
        }

    def stamps(self, pattern: str = "**/*") -> dict[str, tuple[str, int]]:
        """Digest and time of change of every object, the report and the store's own files apart."""
        files = (path for path in sorted(self.store.glob(pattern)) if path.is_file())
        return {
            str(path.relative_to(self.store)): (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                path.stat().st_mtime_ns,
            )
            for path in files
            if not {".detnas", "report"} & set(path.relative_to(self.store).parts)
        }

    def copy_setup(self, store: Path) -> "SearchFolder":
        """The same search in another store, with its base and pool but without any trial."""
        shutil.copytree(
            self.store,
            store,
            ignore=shutil.ignore_patterns(
                ".detnas", "trials", "ledger", "finetune", "students", "report", "checks"
            ),
        )
        return SearchFolder(self.manifest, store)
