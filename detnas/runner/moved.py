"""Whether a search whose data set lies elsewhere than before has moved, or was given other data."""

import hashlib
from pathlib import Path

from detnas.errors import UserError
from detnas.lifecycle.record import SearchRecord
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.results import PrepareResult
from detnas.store import Store
from detnas.store.artifacts import load_record


def check_moved(store: Store, requests: SearchRequests, before: SearchRecord) -> None:
    """See that the annotations are those the search was prepared with, where its data set moved.

    Args:
        store: where the search lies.
        requests: of the search, as the manifest now says.
        before: what the search was told when it last ran.

    Raises:
        UserError: they are others, or cannot be read.
    """
    data = requests.data
    if before.data == data:
        return
    key = keys.result_key(keys.prepare_folder(requests.search))
    prepared = load_record(store, key, PrepareResult)
    if prepared is None:
        return  # it is prepared with what is there now
    for name, split in ((data.train, prepared.train), (data.val, prepared.val)):
        path = Path(data.root) / name
        if problem := "" if split is None else _difference(path, split.sha256):
            raise UserError(
                f"search {requests.search} began with its data in {before.data.root}, and "
                f"spec.dataset.source.directory now means {data.root}, where {name} {problem}",
                "put the same data there, or give the search another metadata.name",
            )


def _difference(path: Path, sha256: str) -> str:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if found == sha256 else "is another file"
