"""Trials without training: students evolve by structure only, scores come from a seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from detnas.actions import (
    PROTECTED_STEPS,
    Action,
    AddedBlock,
    AddLayer,
    ChannelPruning,
    LayerPruning,
    Morphism,
    Rearrange,
    add_layer,
    age,
    prunable_places,
    prune_layer,
    rearrange,
)
from detnas.architecture import Architecture, Block, parse
from detnas.ledger import LedgerEntry, Summary, fold, ledger_entry
from detnas.records.artifacts import Artifact
from detnas.records.proposal import Proposal, Step
from detnas.records.results import DetectorResult, Outcome, Score
from detnas.records.settings import DetectorShape, Resolution
from detnas.score import Scorer
from detnas.search import SearchEnd, propose
from detnas.spec.search import Search
from detnas.teachers import TeacherSpace

START = datetime(2026, 1, 1, tzinfo=UTC)
SMALL, LARGE = Resolution(width=96, height=64), Resolution(width=128, height=96)
SPACE = TeacherSpace()
ARCHITECTURE = parse("[(16, 16)-(16, 16)], [(32, 32)-(32, 32)], [(64, 64)-(64, 64)], [(64, 64)]")


def score(resolution: Resolution, mean_ap: float) -> Score:
    return Score(
        resolution=resolution,
        map=mean_ap,
        ap50=mean_ap,
        ap75=mean_ap,
        ap_small=-1,
        ap_medium=mean_ap,
        ap_large=mean_ap,
    )


BASE = Scorer(
    architecture=ARCHITECTURE,
    detector=DetectorShape(neck=16, fc=32, proposals=50),
    classes=3,
    base_resolution=LARGE,
    alpha=0.4,
    beta=0.8,
    scores=(score(SMALL, 0.3), score(LARGE, 0.5)),
)


def proposal(index: int, parent: int | None = None, **changes: object) -> Proposal:
    fields = {"step": Step.TEACHER, "teacher": SPACE.largest, "seed": index, **changes}
    return Proposal.model_validate({"index": index, "parent": parent, **fields})


def result(
    index: int,
    mean_aps: tuple[float, float] = (0.3, 0.4),
    architecture: Architecture = ARCHITECTURE,
    added: tuple[AddedBlock, ...] = (),
) -> DetectorResult:
    """A trial that succeeded, with an mAP at the small and at the large resolution."""
    digest = f"{index:064x}"
    return DetectorResult(
        started=START + timedelta(minutes=index),
        finished=START + timedelta(minutes=index, seconds=30),
        architecture=architecture,
        added=added,
        scores=(score(SMALL, mean_aps[0]), score(LARGE, mean_aps[1])),
        files={"weights": Artifact(key=f"trials/{digest}.safetensors", size=10, sha256=digest)},
    )


def result_of(entry: LedgerEntry) -> DetectorResult:
    """A result that a trial's entry could have been made from."""
    if entry.weights is None:
        return failure(entry.index, entry.outcome)
    return DetectorResult(
        started=entry.finished,
        finished=entry.finished,
        architecture=entry.architecture,
        added=entry.added,
        scores=tuple(score(scored.resolution, scored.map) for scored in entry.scores),
        files={"weights": entry.weights},
    )


def failure(index: int, outcome: Outcome) -> DetectorResult:
    return DetectorResult(
        outcome=outcome,
        message="it did not work",
        started=START,
        finished=START + timedelta(minutes=index),
    )


def succeeded(proposed: Proposal, *mean_aps: float) -> LedgerEntry:
    low, high = mean_aps if len(mean_aps) == 2 else (0.0, *mean_aps)
    return ledger_entry(proposed, result(proposed.index, (low, high)), BASE)


def failed(proposed: Proposal, outcome: Outcome) -> LedgerEntry:
    return ledger_entry(proposed, failure(proposed.index, outcome), BASE)


def evolved(architecture: Architecture, action: Action) -> Morphism:
    """What an action does to the structure, with some choice where weights would decide."""
    match action:
        case AddLayer():
            return add_layer(architecture, action.stage)
        case Rearrange():
            return rearrange(architecture, action.source, action.target)
        case LayerPruning():
            return prune_layer(architecture, prunable_places(architecture, action.protected)[-1])
        case ChannelPruning():
            stages = tuple(
                tuple(Block(widths=(max(8, b.widths[0] - 1), b.out)) for b in stage)
                for stage in architecture.stages
            )
            origin = {placed.place: placed.place for placed in architecture.blocks}
            return Morphism(architecture.model_copy(update={"stages": stages}), {**origin})


def random_outcome(proposed: Proposal) -> Outcome:
    """Three trials of four succeed."""
    return Random(proposed.seed).choice([Outcome.SUCCEEDED] * 12 + list(Outcome)[1:])


def always_succeeds(proposed: Proposal) -> Outcome:
    return Outcome.SUCCEEDED


@dataclass
class Simulation:
    """A search whose trials end in a random order, as many in flight as it may have."""

    settings: Search
    space: TeacherSpace = SPACE
    outcome: Callable[[Proposal], Outcome] = random_outcome
    summary: Summary = field(init=False)
    proposals: list[Proposal] = field(default_factory=list)
    in_flight: list[Proposal] = field(default_factory=list)
    entries: dict[int, LedgerEntry] = field(default_factory=dict)
    finished: SearchEnd | None = None

    def __post_init__(self) -> None:
        self.summary = Summary(top_k=self.settings.max_parents)

    def run(self, order: Random) -> "Simulation":
        """To the end."""
        while True:
            self.fill()
            if not self.in_flight:
                return self
            self.end(self._ending(order))

    def _ending(self, order: Random) -> Proposal:
        """Any trial; the oldest once it is long overdue."""
        oldest, newest = self.in_flight[0], self.in_flight[-1]
        return oldest if newest.index - oldest.index > 15 else order.choice(self.in_flight)

    def fill(self) -> None:
        """Take proposals for every free slot."""
        while len(self.in_flight) < self.settings.parallelism:
            found = propose(self.settings, self.space, BASE, self.summary, self.in_flight)
            if isinstance(found, SearchEnd):
                self.finished = found
                return
            self.in_flight.append(found)
            self.proposals.append(found)

    def end(self, proposed: Proposal) -> None:
        """Finish one trial."""
        self.in_flight.remove(proposed)
        self.entries[proposed.index] = entry = ledger_entry(proposed, self._result(proposed), BASE)
        self.summary = fold(self.summary, [entry])

    def _result(self, proposed: Proposal) -> DetectorResult:
        outcome = self.outcome(proposed)
        if outcome is not Outcome.SUCCEEDED:
            return failure(proposed.index, outcome)
        parent = None if proposed.parent is None else self.entries[proposed.parent]
        architecture = parent.architecture if parent else ARCHITECTURE
        assert architecture is not None
        origin = {placed.place: placed.place for placed in architecture.blocks}
        morphism = (
            evolved(architecture, proposed.action)
            if proposed.action
            else Morphism(architecture, {**origin})
        )
        added = age(parent.added if parent else (), morphism.origin, PROTECTED_STEPS)
        random = Random(proposed.seed)
        mean_aps = (random.uniform(0.2, 0.4), random.uniform(0.3, 0.5))
        return result(proposed.index, mean_aps, morphism.architecture, added)


def searched(trials: int, parallelism: int = 1, order: int = 0, **settings: object) -> Simulation:
    """A whole search of so many trials."""
    fields = {"patience": 1_000_000, **settings}
    search = Search.model_validate({"trials": trials, "parallelism": parallelism, **fields})
    return Simulation(search).run(Random(order))


def summary_of(entries: Sequence[LedgerEntry], top_k: int = 5) -> Summary:
    return fold(Summary(top_k=top_k), entries)
