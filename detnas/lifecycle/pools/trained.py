"""The pool as a search found it, noted in its own folder: a finished search outlives its pool."""

from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.results import Outcome, PoolPhaseResult
from detnas.schema import Schema
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record


class TrainedPool(Schema):
    """`pool.json`: the results of all phases, in order."""

    phases: tuple[PoolPhaseResult, ...]


def load_trained_pool(store: Store, search: str) -> tuple[PoolPhaseResult, ...]:
    """Read the phases of the pool that a search uses; none while it is not trained."""
    record = load_record(store, keys.trained_pool_key(search), TrainedPool)
    return () if record is None else record.phases


def record_trained_pool(
    store: Store, requests: SearchRequests, phases: tuple[PoolPhaseResult, ...]
) -> bool:
    """Write down the pool that a search uses, once all of it is trained; say whether it is."""
    whole = len(phases) == len(requests.spec.teachers.phases)
    if not whole or any(phase.outcome is not Outcome.SUCCEEDED for phase in phases):
        return False
    create_record(store, keys.trained_pool_key(requests.search), TrainedPool(phases=phases))
    return True
