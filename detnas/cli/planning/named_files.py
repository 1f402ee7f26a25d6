"""Files that a manifest names beside its data set, checked before anything is started.

They are the base's weights, and configuration and weights of the external teacher.
"""

from pathlib import Path

from detnas.lifecycle.failures import load_result
from detnas.records import keys
from detnas.records.results import Outcome
from detnas.records.verbs import Verb
from detnas.runner.opening import OpenedSearch
from detnas.spec import ManifestError, Problem, SearchSpec
from detnas.weights_file import WeightsFileError, check_address, weights_format

_CONFIG = "teachers.external.config"


def is_local(address: str, spec: SearchSpec) -> bool:
    """Whether a file is one of this machine; a cluster has them in the data set."""
    return "://" not in address and spec.dataset.source.directory is not None


def wrong_files(spec: SearchSpec, folder: Path) -> list[Problem]:
    """Why named files cannot be read, judged by their address and first bytes.

    Args:
        spec: of the search.
        folder: where relative paths start.
    """
    problems = []
    for field, address in spec.named_files.items():
        try:
            check_address(address)
            if is_local(address, spec):
                _check_file(field, (folder / address).absolute())
        except (WeightsFileError, OSError) as error:
            problems.append(Problem(f"spec.{field}", str(error)))
    return problems


def _check_file(field: str, path: Path) -> None:
    if field != _CONFIG:
        weights_format(path)
    elif not path.is_file():
        raise WeightsFileError(f"{path} is no file", "give the teacher's mmdet configuration")


def check_files_to_come(search: OpenedSearch, manifest: Path) -> None:
    """Refuse files from which the base, or the external teacher, is still to be created.

    A search that has them, or inherits another one's base, does not read the files again.

    Raises:
        ManifestError: they cannot be read.
    """
    requests = search.requests
    if requests.folder is None:
        return
    is_inherited = requests.spec.warm_start is not None
    problems = []
    for problem in wrong_files(requests.spec, requests.folder):
        of_base = problem.path.startswith("spec.base.")
        if (of_base and is_inherited) or _has(search, Verb.BASE if of_base else Verb.PREPARE):
            continue
        problems.append(problem)
    if problems:
        raise ManifestError(f"{manifest}, on this machine,", problems)


def _has(search: OpenedSearch, verb: Verb) -> bool:
    folder = keys.base_folder if verb is Verb.BASE else keys.prepare_folder
    result = load_result(search.store, verb, folder(search.requests.search))
    return result is not None and result.outcome is Outcome.SUCCEEDED
