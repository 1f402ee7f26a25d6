"""Requests of all jobs of a search."""

from detnas.plan.requests.final import Exportable, FinalRequests
from detnas.plan.requests.search import SearchRequests

__all__ = ["Exportable", "FinalRequests", "SearchRequests"]
