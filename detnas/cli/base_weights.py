"""The base's weights, checked before anything is started."""

from pathlib import Path

from detnas.lifecycle.failures import load_result
from detnas.records import keys
from detnas.records.results import Outcome
from detnas.records.verbs import Verb
from detnas.runner.opening import OpenedSearch
from detnas.spec import ManifestError, Problem, SearchSpec
from detnas.weights_file import WeightsFileError, check_address, weights_format


def are_local(spec: SearchSpec) -> bool:
    """Whether the base's weights are a file of this machine; a cluster has them in the data."""
    return (
        "://" not in (spec.base.initial_weights or "") and spec.dataset.source.directory is not None
    )


def wrong_weights(spec: SearchSpec, folder: Path) -> list[Problem]:
    """Why the base's weights cannot be read, judged by their address and first bytes.

    Args:
        spec: of the search.
        folder: where relative paths start.
    """
    weights = spec.base.initial_weights
    if weights is None:
        return []
    try:
        check_address(weights)
        if are_local(spec):
            weights_format((folder / weights).absolute())
    except (WeightsFileError, OSError) as error:
        return [Problem(f"spec.{spec.base.weights_field}", str(error))]
    return []


def check_weights_to_come(search: OpenedSearch, manifest: Path) -> None:
    """Refuse weights from which the base is still to be created.

    A search that has its base, or inherits another one's, does not read them again.

    Raises:
        ManifestError: they cannot be read.
    """
    requests = search.requests
    if requests.folder is None or requests.spec.warm_start is not None:
        return
    problems = wrong_weights(requests.spec, requests.folder)
    if problems and not _has_base(search):
        raise ManifestError(f"{manifest}, on this machine,", problems)


def _has_base(search: OpenedSearch) -> bool:
    folder = keys.base_folder(search.requests.search)
    base = load_result(search.store, Verb.BASE, folder)
    return base is not None and base.outcome is Outcome.SUCCEEDED
