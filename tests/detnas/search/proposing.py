"""Proposals of searches that no end is near of."""

from collections.abc import Iterable

from detnas.ledger import Summary
from detnas.records.proposal import Proposal
from detnas.search import propose
from detnas.spec.search import MAX_TRIALS, Search
from detnas.teachers import TeacherSpace
from tests.detnas.trials import BASE, SPACE

MANY = Search(trials=MAX_TRIALS, warmup_trials=0, patience=1_000_000)


def next_proposal(
    summary: Summary,
    in_flight: Iterable[Proposal] = (),
    search: Search = MANY,
    space: TeacherSpace = SPACE,
) -> Proposal:
    """What is proposed next; there must be something."""
    found = propose(search, space, BASE, summary, list(in_flight))
    assert isinstance(found, Proposal)
    return found
