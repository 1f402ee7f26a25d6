"""The strategies: what to try next, from the ledger and the trials in flight."""

from detnas.search.propose import EndReason, SearchEnd, propose
from detnas.search.subnets import SubnetBatch, propose_subnets

__all__ = ["EndReason", "SearchEnd", "SubnetBatch", "propose", "propose_subnets"]
