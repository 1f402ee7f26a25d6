"""Records of searches that earlier versions wrote."""

import json

from detnas.lifecycle.record import load_search_record
from detnas.records import keys
from detnas.spec.search import MAX_TRIALS
from detnas.store import Store
from tests.detnas.searches.in_process import tiny


def test_record_with_more_trials_than_a_search_may_have_is_read(store: Store) -> None:
    folder = tiny(store, "one", trials=7).requests.search
    key = keys.search_record_key(folder)
    stored = store.get(key)
    assert stored is not None
    content = json.loads(stored.data)
    content["manifest"]["spec"]["search"]["trials"] = 1_000_000
    store.put(key, json.dumps(content).encode())
    record = load_search_record(store, folder)
    assert record is not None
    assert record.manifest.spec.search.trials == MAX_TRIALS
