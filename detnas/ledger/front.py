"""The Pareto front of a search: accuracy over what one image costs."""

from dataclasses import dataclass

from detnas.ledger.entry import LedgerEntry
from detnas.records.settings import Resolution


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A student at one resolution that no other student at any resolution dominates.

    Attributes:
        index: of the trial.
        map: COCO mAP, a fraction.
        flops: of one image at this resolution.
    """

    index: int
    resolution: Resolution
    map: float
    flops: int

    def dominates(self, other: "FrontPoint") -> bool:
        """As accurate and as cheap or better; between equals the earlier trial stays."""
        if (self.map, self.flops) == (other.map, other.flops):
            return self.name < other.name
        return self.map >= other.map and self.flops <= other.flops

    @property
    def name(self) -> tuple[int, str]:
        """Trial and resolution: the order of equals."""
        return self.index, str(self.resolution)


Front = tuple[FrontPoint, ...]


def extend(front: Front, entry: LedgerEntry) -> Front:
    """The front after one more trial, by rising FLOPs; the order of trials does not matter."""
    for score in entry.scores:
        point = FrontPoint(entry.index, score.resolution, score.map, score.flops)
        if not any(old.dominates(point) for old in front):
            front = (*(old for old in front if not point.dominates(old)), point)
    return tuple(sorted(front, key=lambda point: point.flops))
