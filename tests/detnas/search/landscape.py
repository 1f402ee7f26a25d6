"""Searches of a landscape that is known, as are the errors with which it is measured."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from math import sqrt
from random import Random
from statistics import fmean, stdev

from detnas.actions import Action, ActionKind
from detnas.architecture import Architecture, encode
from detnas.ledger import LedgerEntry, Summary, fold, ledger_entry
from detnas.records.proposal import Proposal
from detnas.records.results import Score
from detnas.score import Scorer
from detnas.search import SearchEnd, propose
from detnas.spec.search import Search, Selection, Strategy
from detnas.teachers import Teacher
from tests.detnas.trials import ARCHITECTURE, BASE, LARGE, SMALL, SPACE, evolved, result, score

AT_SMALL = 0.6
"""mAP at the small resolution, relative to that at the large one."""

START = 0.4
"""mAP of the base at the large resolution."""

TrueMap = Callable[[Proposal, Architecture, float, int], float]
"""mAP at the large resolution of a trial's student, from its proposal, its architecture, its
parent's, and the seed of the landscape."""

_MEAN_CHANGES = {
    ActionKind.ADD_LAYER: 0.004,
    ActionKind.REARRANGE: 0.0,
    ActionKind.LAYER_PRUNING: -0.004,
    ActionKind.CHANNEL_PRUNING: -0.003,
}


def walk(proposal: Proposal, architecture: Architecture, parent: float, seed: int) -> float:
    """Every step changes mAP by a random amount, with a mean of its kind."""
    mean = _MEAN_CHANGES[proposal.action.kind] if proposal.action else 0.002
    change = Random(f"{seed}/{proposal.seed}").gauss(mean, 0.012)
    return min(max(parent + change, 0.02), 0.9)


def surface(proposal: Proposal, architecture: Architecture, parent: float, seed: int) -> float:
    """A function of architecture and teacher alone: capacity, and what is particular to them."""
    capacity = (BASE.flops_of(architecture, LARGE) / BASE.flops) ** 0.2
    own = Random(f"{seed}/{encode(architecture)}").gauss(0, 0.012)
    taught = Random(f"{seed}/{_name(proposal.teacher)}").gauss(0, 0.008)
    return min(max(START * capacity + own + taught, 0.02), 0.9)


LANDSCAPES: dict[str, TrueMap] = {"walk": walk, "surface": surface}


def _name(teacher: Teacher) -> str:
    return str(teacher.model_dump_json())


@dataclass
class KnownSearch:
    """A search, one trial after the other, whose trials are measured with known errors.

    Attributes:
        settings: of the search.
        true_map: of the landscape.
        noise: standard error of every measurement of mAP.
        seed: of landscape and noise.
    """

    settings: Search
    true_map: TrueMap
    noise: float
    seed: int
    entries: dict[int, LedgerEntry] = field(default_factory=dict)
    maps: dict[int, float] = field(default_factory=dict)
    summary: Summary = field(init=False)
    base: Scorer = field(init=False)

    def __post_init__(self) -> None:
        self.summary = Summary(top_k=self.settings.max_parents)
        self.base = replace(BASE, scores=self._measured(-1, START))

    def run(self) -> "KnownSearch":
        """To the end."""
        while isinstance(found := self.next(), Proposal):
            self.end(found)
        return self

    def next(self) -> Proposal | SearchEnd:
        """The next trial."""
        return propose(self.settings, SPACE, self.base, self.summary, [])

    def end(self, proposal: Proposal) -> None:
        """Measure a trial."""
        parent = self.entries.get(-1 if proposal.parent is None else proposal.parent)
        architecture = parent.architecture if parent else ARCHITECTURE
        assert architecture is not None
        if proposal.action is not None:
            architecture = _after(architecture, proposal.action)
        before = START if parent is None else self.maps[parent.index]
        now = self.true_map(proposal, architecture, before, self.seed)
        self.maps[proposal.index] = now
        scores = self._measured(proposal.index, now)
        found = result(proposal.index, architecture=architecture)
        entry = ledger_entry(proposal, found.model_copy(update={"scores": scores}), self.base)
        self.entries[proposal.index] = entry
        self.summary = fold(self.summary, [entry])

    @property
    def found(self) -> float:
        """True H of the best trial, as the search sees it."""
        best = self.summary.best
        assert best is not None
        at = best.scores[-1]
        return self.maps[best.index] * at.h / at.map

    def _measured(self, index: int, mean_ap: float) -> tuple[Score, ...]:
        random = Random(f"noise/{self.seed}/{index}")
        return tuple(
            score(size, min(max(random.gauss(true, self.noise), 0.001), 1)).model_copy(
                update={"map_error": self.noise}
            )
            for size, true in ((SMALL, AT_SMALL * mean_ap), (LARGE, mean_ap))
        )


@dataclass(frozen=True)
class Compared:
    """What searches by estimates find above those by measurements: means over the seeds.

    Attributes:
        observed: true H of the best trial by measurements.
        shrunk: likewise, by estimates.
        difference: of the two, seed by seed.
        error: standard error of the difference.
    """

    observed: float
    shrunk: float
    difference: float
    error: float


def compare(
    true_map: TrueMap, noise: float, seeds: range, trials: int, strategy: Strategy = Strategy.JOINT
) -> Compared:
    """Search each landscape twice, with as many trials."""

    def found(selection: Selection, seed: int) -> float:
        settings = Search(
            trials=trials, patience=trials, selection=selection, strategy=strategy, seed=seed
        )
        return KnownSearch(settings, true_map, noise, seed).run().found

    observed, shrunk = ([found(one, seed) for seed in seeds] for one in Selection)
    more = [one - other for one, other in zip(shrunk, observed, strict=True)]
    error = stdev(more) / sqrt(len(more))
    return Compared(fmean(observed), fmean(shrunk), fmean(more), error)


@cache
def _after(architecture: Architecture, action: Action) -> Architecture:
    return evolved(architecture, action).architecture
