"""The base that a finished search has trained, for others to take."""

from urllib.parse import unquote, urlsplit

from detnas.lifecycle.record import SearchRecord
from detnas.records import keys
from detnas.records.results import DetectorResult
from detnas.runner.opening import reopen_search
from detnas.store import open_store
from detnas.store.artifacts import load_record


def stored_base(uri: str) -> str | None:
    """Return where its weights are, as `base.weights` names them; None if they are gone.

    Args:
        uri: of the search.

    Raises:
        StoreError: the store cannot be read.
    """
    if load_record(open_store(uri), keys.SEARCH_RECORD, SearchRecord) is None:
        return None
    search = reopen_search(uri)
    key = keys.result_key(keys.base_folder(search.requests.search))
    result = load_record(search.store, key, DetectorResult)
    if result is None or search.store.size(result.weights.key) is None:
        return None
    place = f"{search.store.uri}/{result.weights.key}"
    parts = urlsplit(place)
    return unquote(parts.path) if parts.scheme == "file" else place
