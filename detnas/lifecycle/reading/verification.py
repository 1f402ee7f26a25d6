"""Whether a result is valid: it is complete, and its artifacts are present and match."""

import logging
from dataclasses import dataclass, field

from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.results import (
    DetectorResult,
    ExportResult,
    FinalTestResult,
    Outcome,
    PoolPhaseResult,
    Result,
)
from detnas.store import Store
from detnas.store.artifacts import create_record

log = logging.getLogger(__name__)


def problem_with(store: Store, folder: str, result: Result) -> str:
    """Return what is wrong with a result or its artifacts; empty if it is valid.

    An artifact is named by its digest: name, digest and size must agree; the content itself is
    checked whenever it is fetched. A job writes into its own folder only, so a result that names
    another job's artifacts is invalid too. People fetch the files of an export and of a test by
    name: there the name must be the artifact's role.

    Args:
        store: where the job is stored.
        folder: key of its folder.
        result: what it wrote there.
    """
    if lacking := _lacking(result):
        return f"its result says {result.outcome}, and has no {lacking}"
    exported = isinstance(result, ExportResult | FinalTestResult)
    for role, file in result.files.items():
        misnamed = _wrong_role(role, file) if exported else _wrong_digest(file)
        if problem := _misplaced(folder, file) or misnamed or _wrong_size(store, file):
            return f"its result names {role} {problem}"
    return ""


def _lacking(result: Result) -> str:
    if result.outcome is not Outcome.SUCCEEDED:
        return ""
    if isinstance(result, DetectorResult) and (result.architecture is None or not result.scores):
        return "architecture or no scores"
    trained = isinstance(result, DetectorResult | PoolPhaseResult)
    return "weights" if trained and "weights" not in result.files else ""


def _misplaced(folder: str, file: Artifact) -> str:
    own = file.key.startswith(f"{folder}/")
    return "" if own else f"{file.key}, which is not in the job's own folder"


def _wrong_digest(file: Artifact) -> str:
    name = _name(file)
    if name.split(".")[0] == file.sha256:
        return ""
    return f"{name} with the digest {file.sha256}, which is not the one in the name"


def _wrong_role(role: str, file: Artifact) -> str:
    return "" if _name(file) == role else f"{_name(file)}, which is another name"


def _wrong_size(store: Store, file: Artifact) -> str:
    size = store.size(file.key)
    if size is None:
        return f"{_name(file)}, which is not in the store"
    return "" if size == file.size else f"{_name(file)} of {file.size} bytes; the store has {size}"


def _name(file: Artifact) -> str:
    return file.key.rpartition("/")[2]


@dataclass
class Verification:
    """Verifies results, and sets invalid ones aside.

    Attributes:
        store: where the jobs are stored.
        rejected: what was wrong with those set aside, by job folder.
    """

    store: Store
    rejected: dict[str, str] = field(default_factory=dict)

    def __call__(self, folder: str, result: Result) -> bool:
        """Return whether a result is valid; one that is not is renamed, so that its job is due."""
        problem = problem_with(self.store, folder, result)
        if problem:
            log.error("%s: %s", folder, problem)
            self.rejected[folder] = problem
            set_aside(self.store, folder, result)
        return not problem


def set_aside(store: Store, folder: str, result: Result) -> None:
    """Rename a failed result beside the job's other files, so that the job is due again."""
    create_record(store, keys.failed_result_key(folder, result.finished), result)
    store.delete(keys.result_key(folder))
