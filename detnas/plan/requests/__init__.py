"""Requests of all jobs of a search."""

from detnas.plan.requests.baseline import Compared, baseline_request, is_same_baseline
from detnas.plan.requests.final import Exportable, FinalRequests
from detnas.plan.requests.search import SearchRequests

__all__ = [
    "Compared",
    "Exportable",
    "FinalRequests",
    "SearchRequests",
    "baseline_request",
    "is_same_baseline",
]
