"""Whether a new resource adopts the data of an earlier search of its name.

A resource that was restored from a backup, or recreated by a deployment tool, has another UID than
the one under which the data was written. So does one that should begin from scratch: if it is not
clear which, a person decides.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.record import count_trial_results, load_search_record, searches_named
from detnas.reasons import ReasonCode
from detnas.spec.manifest import DetNASSearch
from detnas.store import Store
from detnas.store.errors import CorruptRecord
from detnas_operator.admission.location import own_folder, reported_folder
from detnas_operator.admission.recorded import with_changeable_fields_of
from detnas_operator.cluster.labels import ADOPT
from detnas_operator.cluster.searches import SearchView

NONE = "none"
_MAX_NAMED = 5
_MAX_VALUE_CHARACTERS = 60
_MAX_PROBLEM_CHARACTERS = 200


def choose_folder(search: SearchView, manifest: DetNASSearch, store: Store) -> str:
    """Return the key of a search's folder; one that has begun keeps its own.

    Args:
        search: the custom resource.
        manifest: what it requests, defaults filled in.
        store: where it is stored.

    Raises:
        BlockedError: a person must decide whether it adopts the data of an earlier search.
    """
    own = own_folder(search)
    _, reported = reported_folder(search)
    if reported or load_search_record(store, own) is not None:
        return own
    wanted = search.annotations.get(ADOPT, "")
    if wanted == NONE:
        return own
    named = searches_named(store, search.namespace, search.name)
    if wanted:
        return _adopted(wanted, named, manifest, store)
    if not (earlier := _worth_keeping(named, manifest, store)):
        return own
    usable = [one.name for one in earlier if not one.unreadable]
    more = f" and {len(earlier) - _MAX_NAMED} more" if earlier[_MAX_NAMED:] else ""
    adopt = f"{ADOPT}={usable[0]} to continue with it, or " if usable else ""
    raise BlockedError(
        ReasonCode.EARLIER_DATA,
        # The command comes first: the status cuts messages that are long.
        "an earlier search of this name left its data; decide what becomes of it: kubectl annotate "
        f"detnas {search.name} --namespace {search.namespace} "
        f"{adopt}{ADOPT}={NONE} to begin from scratch",
        f"found {', '.join(map(str, earlier[:_MAX_NAMED]))}{more}",
    )


@dataclass(frozen=True, slots=True)
class _Earlier:
    """An earlier search of the name, with finished trials.

    Attributes:
        name: of its folder.
        uri: of its folder.
        trials: that have finished.
        unreadable: why its search.json cannot be read; empty if its manifest requests the same.
    """

    name: str
    uri: str
    trials: int
    unreadable: str = ""

    def __str__(self) -> str:
        what = f"{self.trials} finished trials"
        if self.unreadable:
            what += f"; whether its manifest requests the same is not known: {self.unreadable}"
        return f"{self.uri} ({what})"


def _adopted(wanted: str, named: list[str], manifest: DetNASSearch, store: Store) -> str:
    for folder in named:
        if wanted in (folder.rpartition("/")[2], f"{store.uri}/{folder}"):
            return _if_it_requests_the_same(folder, manifest, store)
    choices = ", ".join(folder.rpartition("/")[2] for folder in named) or "there is none"
    raise BlockedError(
        ReasonCode.EARLIER_DATA,
        f"the annotation {ADOPT} is {wanted!r:.200}, which is no folder of a search of this name",
        f"name one of them ({choices}), or {NONE} to begin from scratch",
    )


def _if_it_requests_the_same(folder: str, manifest: DetNASSearch, store: Store) -> str:
    """Return the folder if its search requests the same: recorded values take precedence."""
    from_scratch = f"set {ADOPT}={NONE} to begin from scratch"
    try:
        record = load_search_record(store, folder)
    except CorruptRecord as error:
        raise BlockedError(
            ReasonCode.EARLIER_DATA,
            f"the annotation {ADOPT} names a search whose record cannot be used: "
            f"{error.problem[:_MAX_PROBLEM_CHARACTERS]}",
            f"restore it, or {from_scratch}",
        ) from error
    if record is None or not (fields := _differences(record.manifest, manifest)):
        return folder
    more = f" and {len(fields) - _MAX_NAMED} more" if fields[_MAX_NAMED:] else ""
    raise BlockedError(
        ReasonCode.EARLIER_DATA,
        f"the annotation {ADOPT} names a search whose manifest differs: "
        f"{', '.join(fields[:_MAX_NAMED])}{more}",
        f"{from_scratch}, or apply the search again with the earlier values",
    )


def _worth_keeping(named: list[str], manifest: DetNASSearch, store: Store) -> list[_Earlier]:
    """Return earlier searches with finished trials that requested, or may have, the same.

    Those whose record cannot be read come last.
    """
    earlier = []
    for folder in named:
        unreadable = ""
        try:
            record = load_search_record(store, folder)
        except CorruptRecord as error:
            unreadable = error.problem[:_MAX_PROBLEM_CHARACTERS]
        else:
            if record is None or _differences(record.manifest, manifest):
                continue
        if trials := count_trial_results(store, folder):
            name, uri = folder.rpartition("/")[2], f"{store.uri}/{folder}"
            earlier.append(_Earlier(name, uri, trials, unreadable))
    return sorted(earlier, key=lambda one: bool(one.unreadable))


def _differences(before: DetNASSearch, now: DetNASSearch) -> list[str]:
    """Return the fixed fields whose values differ, each with both values."""
    merged = with_changeable_fields_of(before, now).spec
    merged = merged.model_copy(update={"dataset": before.spec.dataset})
    dumped = (spec.model_dump(mode="json", by_alias=True) for spec in (merged, now.spec))
    return list(_differing("spec", *dumped))


def _differing(path: str, before: object, now: object) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted(before.keys() | now.keys()):
            yield from _differing(f"{path}.{name}", before.get(name), now.get(name))
    elif before != now:
        yield f"{path} ({_shown(before)} there, {_shown(now)} here)"


def _shown(value: object) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= _MAX_VALUE_CHARACTERS else f"{text[: _MAX_VALUE_CHARACTERS - 1]}…"


def belongs_to_another(store: Store, folder: str, uid: str) -> bool:
    """Whether a folder's record names another resource, perhaps of another cluster.

    Args:
        store: where it is stored.
        folder: key of the search's folder.
        uid: of this resource.
    """
    try:
        record = load_search_record(store, folder)
    except CorruptRecord:
        return False
    return record is not None and record.uid != uid
