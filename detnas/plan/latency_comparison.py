"""What the jobs of a search whose H counts latencies compare theirs with."""

from typing import TypeVar

from detnas.records import keys
from detnas.records.latency import LatencyComparison
from detnas.records.requests import EvaluationRequest, PoolPhaseRequest
from detnas.schema import Tagged
from detnas.spec.manifest import SearchSpec

R = TypeVar("R", bound=Tagged)


def with_latency(request: R, spec: SearchSpec, search: str) -> R:
    """Return a request that has its job measure latencies, if they count in this search's H.

    Phases of the pool have no score, and the test takes the latencies of earlier jobs.

    Args:
        request: of any job.
        spec: of the search.
        search: key of its folder.
    """
    scored = isinstance(request, EvaluationRequest) and not isinstance(request, PoolPhaseRequest)
    if not scored or not spec.search.counts_latency:
        return request
    comparison = LatencyComparison(
        folder=keys.latencies_folder(search), base=spec.base.resolve(), detector=spec.detector
    )
    return request.model_copy(update={"latency": comparison})
