"""The source of a warm start: how it is found, and whether it fits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.record import SearchRecord, StoredSearch, load_search_record, searches_named
from detnas.reasons import ReasonCode
from detnas.records import keys
from detnas.records.results import Outcome, PrepareResult
from detnas.spec.manifest import SearchSpec
from detnas.store import Store, open_store
from detnas.store.artifacts import load_record

LiveUid = Callable[[str], str | None]
"""Returns the UID of the resource that has a name now, in the namespace of the new search."""

_FIELD = "spec.warmStart.from"


@dataclass(frozen=True, slots=True)
class WarmStartSource:
    """The search that another inherits from.

    Attributes:
        store: where it is stored.
        search: key of its folder.
        record: its settings.
    """

    store: Store
    search: str
    record: SearchRecord

    @property
    def uri(self) -> str:
        """Of its folder."""
        return f"{self.store.uri}/{self.search}"

    def prepared(self) -> PrepareResult | None:
        """Return the result of its data check; None until it has succeeded."""
        key = keys.result_key(keys.prepare_folder(self.search))
        result = load_record(self.store, key, PrepareResult)
        return result if result is not None and result.outcome is Outcome.SUCCEEDED else None


def find_source(search: StoredSearch, reference: str, live_uid: LiveUid) -> WarmStartSource:
    """Find the search that a name or a URI refers to.

    A name refers to the search that has it now; if none has, to the only one in the store that had
    it.

    Args:
        search: the new one; names are looked up in its store and namespace.
        reference: `spec.warmStart.from`.
        live_uid: returns the UID of the resource that has a name now.

    Raises:
        BlockedError: there is no such search, or there are several.
    """
    if "://" in reference:
        return _at(search, reference)
    namespace = search.requests.manifest.metadata.namespace
    if uid := live_uid(reference):
        folder = keys.search_folder(namespace, reference, uid)
    else:
        folder = _only_one(search.store, namespace, reference)
    return _read(search.store, folder)


def check_fit(spec: SearchSpec, source: WarmStartSource, prepared: PrepareResult | None) -> None:
    """Check that the trials of one search are valid for another.

    Teachers, score, seed and training may differ; what a student is and how it is measured may
    not.

    Args:
        spec: of the new search.
        source: the other one.
        prepared: the new search's data; None until it is known.

    Raises:
        BlockedError: a field differs.
    """
    if source.record.manifest.spec.searches_pool:
        raise BlockedError(
            ReasonCode.WARM_START_MISMATCH,
            f"{_FIELD} names {source.uri}, whose strategy is TeacherPool: its trials have no "
            "weights to inherit",
            "name a search of another strategy, or leave warmStart out there",
        )
    for field, ours, theirs in _compared(spec, source, prepared):
        if ours != theirs:
            raise BlockedError(
                ReasonCode.WARM_START_MISMATCH,
                f"{field} does not fit: it is {ours}, in {source.uri}, which {_FIELD} names, "
                f"{theirs}",
                "give both the same in a new search, or leave warmStart out there",
            )


def _compared(
    spec: SearchSpec, source: WarmStartSource, prepared: PrepareResult | None
) -> Iterator[tuple[str, str, str]]:
    theirs = source.record.manifest.spec
    yield "spec.resolutions", _sizes(spec), _sizes(theirs)
    yield "spec.detector", str(spec.detector), str(theirs.detector)
    yield "spec.base", _backbone(spec), _backbone(theirs)
    if spec.search.counts_latency:  # what others trained has no latencies
        yield "spec.search.objective", spec.search.objective, theirs.search.objective
    their_data = source.prepared()
    if prepared is not None and their_data is not None:
        yield "spec.dataset", _classes(prepared), _classes(their_data)
        yield "spec.dataset", prepared.digest, their_data.digest
        images = (prepared.image_listing, their_data.image_listing)
        if images[0] and images[1]:
            yield "spec.dataset (its images)", images[0].sha256, images[1].sha256


def _sizes(spec: SearchSpec) -> str:
    return ", ".join(str(size) for size in sorted(spec.resolutions, key=lambda size: size.pixels))


def _backbone(spec: SearchSpec) -> str:
    return spec.base.resolve().model_dump_json(by_alias=True)


def _classes(prepared: PrepareResult) -> str:
    return f"{len(prepared.classes)} classes ({', '.join(prepared.classes):.200})"


def _at(search: StoredSearch, uri: str) -> WarmStartSource:
    store = search.store
    root, *path = uri.rstrip("/").rsplit("/", 3)
    if len(path) != 3 or path[1] != "searches":
        raise BlockedError(
            ReasonCode.WARM_START_MISSING,
            f"{_FIELD} is {uri}, which is not a search's folder",
            "name one in a new search, such as s3://bucket/prefix/team-a/searches/my-search-0123abcd",
        )
    if root == store.uri:
        return _read(store, "/".join(path))
    if search.requests.folder is None:  # a record may name any store; the operator reads one only
        raise BlockedError(
            ReasonCode.WARM_START_FORBIDDEN,
            f"{_FIELD} refers to {uri}, which is not in this search's store, {store.uri}",
            "name a search there, in a new search",
        )
    return _read(open_store(root), "/".join(path))


def _only_one(store: Store, namespace: str, name: str) -> str:
    parent = keys.searches_folder(namespace)
    found = searches_named(store, namespace, name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise BlockedError(
            ReasonCode.WARM_START_MISSING,
            f"{_FIELD} is {name}, and no search of that name is in {store.uri}/{parent}",
            "name one that exists, or the URI of its folder, in a new search",
        )
    listed = " or ".join(f"{store.uri}/{folder}" for folder in found)
    raise BlockedError(
        ReasonCode.WARM_START_AMBIGUOUS,
        f"{_FIELD} is {name}, and {len(found)} searches had that name",
        f"name the URI of one in a new search: {listed}",
    )


def _read(store: Store, folder: str) -> WarmStartSource:
    record = load_search_record(store, folder)
    if record is None:
        raise BlockedError(
            ReasonCode.WARM_START_MISSING,
            f"{_FIELD} refers to {store.uri}/{folder}, and no search has begun there",
            "wait until it has, or name another in a new search",
        )
    return WarmStartSource(store, folder, record)
