"""Takes another search's base over, into the new search's own folder."""

from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.warm_start.source import WarmStartSource
from detnas.records import keys
from detnas.records.results import DetectorResult, Outcome
from detnas.store.artifacts import copy_between, create_record, load_record
from detnas.store.errors import NotFound


def base_has_begun(search: StoredSearch) -> bool:
    """Whether the new search has a base, or trains one."""
    folder = keys.base_folder(search.requests.search)
    begun = (keys.request_key(folder), keys.result_key(folder))
    return any(search.store.size(key) is not None for key in begun)


def take_base(search: StoredSearch, source: WarmStartSource) -> None:
    """Take the other search's base over, where it is the one that ours would be.

    Nothing happens where ours has begun, or where the other has none: then it is trained anew.
    """
    if base_has_begun(search):
        return
    ours, theirs = keys.base_folder(search.requests.search), keys.base_folder(source.search)
    wanted, trained = search.requests.spec.base, source.record.manifest.spec.base
    result = load_record(source.store, keys.result_key(theirs), DetectorResult)
    if wanted.model_copy(update={"gpus": trained.gpus}) != trained or result is None:
        return
    if result.outcome is not Outcome.SUCCEEDED:
        return
    weights = result.weights.model_copy(
        update={"key": f"{ours}/{result.weights.key.rpartition('/')[2]}"}
    )
    try:
        copy_between(source.store, result.weights.key, search.store, weights)
    except NotFound:
        return
    # It took no time of this search's: its budget is not charged for it.
    update = {"files": {"weights": weights}, "seconds": {}, "message": f"from {source.uri}"}
    create_record(search.store, keys.result_key(ours), result.model_copy(update=update))
