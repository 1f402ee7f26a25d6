"""The record of the trained pool that a search uses, in the search's own folder."""

from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.results import Outcome, PoolPhaseResult
from detnas.schema import Schema
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record


class TrainedPool(Schema):
    """`pool.json` in a search's folder, so that a finished search outlives its pool.

    Attributes:
        phases: results of all phases, in order.
    """

    phases: tuple[PoolPhaseResult, ...]


def load_trained_pool(store: Store, search: str) -> tuple[PoolPhaseResult, ...]:
    """Read the phases of the pool that a search uses; empty until it is trained."""
    record = load_record(store, keys.trained_pool_key(search), TrainedPool)
    return () if record is None else record.phases


def record_trained_pool(
    store: Store, requests: SearchRequests, phases: tuple[PoolPhaseResult, ...]
) -> bool:
    """Record the pool that a search uses once all of it is trained; return whether it is."""
    complete = len(phases) == len(requests.spec.teachers.phases)
    if not complete or any(phase.outcome is not Outcome.SUCCEEDED for phase in phases):
        return False
    create_record(store, keys.trained_pool_key(requests.search), TrainedPool(phases=phases))
    return True
