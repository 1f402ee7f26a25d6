"""What the model card of an exported detector states of its search."""

from collections.abc import Iterable, Sequence

from detnas.plan.winner import TrainedDetector
from detnas.records.model_card import CardBaseline, LineageStep, ModelCard
from detnas.records.results import PrepareResult
from detnas.spec.model_card import CardSettings


def model_card(
    exported: TrainedDetector,
    base: TrainedDetector,
    prepared: PrepareResult,
    lineage: Sequence[LineageStep],
    settings: CardSettings,
    baselines: Iterable[CardBaseline] = (),
) -> ModelCard:
    """Return the facts of a detector's card.

    Args:
        exported: the detector.
        base: of the search.
        prepared: what the data set has.
        lineage: from the base to the detector; empty if that is the base.
        settings: what the manifest states of the card.
        baselines: that the detector was compared with.
    """
    return ModelCard(
        train=prepared.train,
        val=prepared.val,
        score=exported.measured.without_replicates,
        base_score=base.measured.without_replicates,
        lineage=tuple(lineage),
        baselines=tuple(baselines),
        license=settings.license,
        datasets=settings.datasets,
    )
