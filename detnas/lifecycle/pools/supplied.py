"""Whether the pool that a search uses, supplied or trained for its settings, can be used."""

from collections.abc import Iterator

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.reading.verification import problem_with
from detnas.plan.requests import SearchRequests
from detnas.reasons import ReasonCode
from detnas.records import keys
from detnas.records.requests import PoolPhaseRequest
from detnas.records.results import Outcome, PoolPhaseResult, PrepareResult
from detnas.spec.teachers import Teachers
from detnas.store import Store
from detnas.store.artifacts import load_record

_FIELD = "spec.teachers.pool"


def pool_key(uri: str, store: str) -> str:
    """Return the key of the folder of a supplied pool.

    Args:
        uri: `spec.teachers.pool`.
        store: URI of the search's store; a job reads one store only.

    Raises:
        BlockedError: it is not a pool's folder in this store.
    """
    path = uri.rstrip("/").removeprefix(f"{store}/").split("/")
    if not uri.startswith(f"{store}/") or len(path) != 3 or path[1] != "pools":
        raise BlockedError(
            ReasonCode.POOL_FORBIDDEN,
            f"{_FIELD} is {uri}, which is no pool of the search's own store",
            f"name {store}/NAMESPACE/pools/DIGEST; detnas pools list shows them",
        )
    return "/".join(path)


def check_supplied_pool(
    store: Store, requests: SearchRequests, prepared: PrepareResult | None
) -> None:
    """Check that a supplied pool exists, is trained, and has the teachers the search requires.

    Its data and training may differ from the search's own.

    Args:
        store: where search and pool are stored.
        requests: of the search, which has `existing_pool`.
        prepared: the search's data; None until it is known.

    Raises:
        BlockedError: it cannot be used, or not yet.
    """
    assert requests.existing_pool is not None
    uri = f"{store.uri}/{requests.existing_pool}"
    phases = len(requests.spec.teachers.phases)
    requested = _requests(store, requests.existing_pool, phases + 1)
    if not requested:
        raise BlockedError(
            ReasonCode.POOL_MISSING,
            f"{_FIELD} is {uri}, and no pool is stored there",
            "name one that detnas pools list shows, or leave the field out, in a new search",
        )
    _check_fit(requests, requested, prepared, uri)
    _check_trained(store, requests.existing_pool, phases)


def check_trained_pool(store: Store, pool: str, phases: tuple[PoolPhaseResult, ...]) -> None:
    """Check the artifacts of a pool before a search uses it: another may have trained it long ago.

    Args:
        store: where it is stored.
        pool: key of its folder.
        phases: results of its phases.

    Raises:
        BlockedError: an artifact is missing or does not match its result.
    """
    for number, result in enumerate(phases):
        folder = keys.pool_phase_folder(pool, number)
        if problem := problem_with(store, folder, result):
            raise BlockedError(
                ReasonCode.POOL_DAMAGED,
                f"the pool is {store.uri}/{pool}, and of phase {number} {problem}",
                f"restore the object; or delete {keys.result_key(folder)}, and the phase is "
                "trained again",
            )


def _check_fit(
    requests: SearchRequests,
    pool: list[PoolPhaseRequest],
    prepared: PrepareResult | None,
    uri: str,
) -> None:
    phases = len(requests.spec.teachers.phases)
    for field, ours, theirs in _compared(requests, pool[0], prepared):
        if ours != theirs:
            raise BlockedError(
                ReasonCode.POOL_MISMATCH,
                f"{field} does not fit {_FIELD}: it is {ours}, and the pool {uri} has {theirs}",
                "give it the pool's value, or name another pool or none, in a new search",
            )
    if len(pool) > phases:
        raise BlockedError(
            ReasonCode.POOL_MISMATCH,
            f"spec.teachers.phases lists {phases}, and the pool {uri} has more",
            "list as many phases as the pool was trained in, in a new search",
        )


def _requests(store: Store, pool: str, most: int) -> list[PoolPhaseRequest]:
    found: list[PoolPhaseRequest] = []
    while len(found) < most:
        key = keys.request_key(keys.pool_phase_folder(pool, len(found)))
        request = load_record(store, key, PoolPhaseRequest)
        if request is None:
            break
        found.append(request)
    return found


def _compared(
    requests: SearchRequests, pool: PoolPhaseRequest, prepared: PrepareResult | None
) -> Iterator[tuple[str, str, str]]:
    spec = requests.spec
    teachers: Teachers = spec.teachers
    yield "spec.teachers.supernet", str(teachers.supernet), str(pool.supernet)
    depths = (teachers.space.min_depths, teachers.space.max_depths)
    yield "spec.teachers.depths", _text(depths), _text(_depths(pool))
    yield "spec.teachers.widths", _text(teachers.widths), _text(pool.full_space.widths)
    yield "spec.detector", str(spec.detector), str(pool.detector)
    if prepared is not None:
        yield "spec.dataset (its classes)", _text(prepared.classes), _text(pool.classes)


def _depths(pool: PoolPhaseRequest) -> tuple[object, ...]:
    return (pool.full_space.min_depths, pool.full_space.max_depths)


def _text(values: tuple[object, ...]) -> str:
    return ", ".join(map(str, values))


def _check_trained(store: Store, pool: str, phases: int) -> None:
    uri = f"{store.uri}/{pool}"
    for number in range(phases):
        folder = keys.pool_phase_folder(pool, number)
        result = load_record(store, keys.result_key(folder), PoolPhaseResult)
        if result is None or result.outcome is not Outcome.SUCCEEDED:
            raise BlockedError(
                ReasonCode.POOL_UNFINISHED,
                f"{number} of {phases} phases of {uri} are trained, which {_FIELD} names",
                "the search continues once all are; or leave the field out, in a new search",
            )
        if problem := problem_with(store, folder, result):
            raise BlockedError(
                ReasonCode.POOL_DAMAGED,
                f"{_FIELD} is {uri}, and of phase {number} {problem}",
                "restore the object; or name another pool, or none, in a new search",
            )
