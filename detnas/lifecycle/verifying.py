"""Whether a result may be believed: what it says of its files is held against the store."""

import logging
from dataclasses import dataclass, field

from detnas.lifecycle.failures import set_aside
from detnas.records.artifacts import Artifact
from detnas.records.results import Result
from detnas.store import Store

log = logging.getLogger(__name__)


def problem_with(store: Store, folder: str, result: Result) -> str:
    """Say what is wrong with a result's files; nothing where all is well.

    A file is named by its content, so that its name, its digest and its size must agree; the
    content itself is proved whenever it is fetched. A job writes into its own folder only, so a
    result that names another's files is not believed either.

    Args:
        store: where the job lies.
        folder: key of its folder.
        result: what it wrote there.
    """
    for role, file in result.files.items():
        if problem := _problem(store, folder, file):
            return f"its result names {role} {problem}"
    return ""


def _problem(store: Store, folder: str, file: Artifact) -> str:
    if not file.key.startswith(f"{folder}/"):
        return f"{file.key}, which is not in the job's own folder"
    name = file.key.rpartition("/")[2]
    if name.split(".")[0] != file.sha256:
        return f"{name} with the digest {file.sha256}, which is not the one in the name"
    size = store.size(file.key)
    if size is None:
        return f"{name}, which is not in the store"
    return "" if size == file.size else f"{name} of {file.size} bytes; the store has {size}"


@dataclass
class Verification:
    """Believes results, or sets them aside.

    Attributes:
        store: where the jobs lie.
        rejected: what was wrong with those set aside, by folder.
    """

    store: Store
    rejected: dict[str, str] = field(default_factory=dict)

    def __call__(self, folder: str, result: Result) -> bool:
        """Say whether a result stands; one that does not is kept under another name."""
        problem = problem_with(self.store, folder, result)
        if problem:
            log.error("%s: %s", folder, problem)
            self.rejected[folder] = problem
            set_aside(self.store, folder, result)
        return not problem
