"""What an exported detector's model card states beside the detector itself."""

from typing import Annotated

from pydantic import Field

from detnas.gain import Gain
from detnas.records.results import Score, SplitSummary
from detnas.schema import Count, Schema, added

MAX_LINEAGE = 10_000
"""Steps; a lineage is at most as long as its search."""


class LineageStep(Schema):
    """One step from the base to the exported detector.

    Attributes:
        trial: its number; None for the base and a fine-tuning.
        did: what it changed, for people.
        h: the score after it, at its best resolution.
        map: mAP there.
        flops: at the base resolution.
    """

    trial: Count | None = None
    did: str
    h: float
    map: float
    flops: Count


class CardBaseline(Schema):
    """A baseline that the exported detector was compared with.

    Attributes:
        name: of it, for people.
        score: on the validation images, at its best resolution, without replicates.
        h: its score there.
        flops: at the base resolution.
        lead: of the exported detector over it; None if unknown.
    """

    name: str
    score: Score
    h: float
    flops: Count
    lead: Gain | None = None


class ModelCard(Schema):
    """Facts of the search for the card.

    Attributes:
        train: the training images.
        val: the validation images.
        score: of the exported detector on the validation images, without replicates.
        base_score: of the base at its best resolution, likewise.
        lineage: from the base to the exported detector; empty if that is the base.
        baselines: that it was compared with.
        license: of the exported detector, as the manifest states it; None if it does not.
        datasets: names on the Hugging Face Hub of what it was trained on, likewise.
    """

    train: SplitSummary | None = None
    val: SplitSummary | None = None
    score: Score
    base_score: Score
    lineage: Annotated[tuple[LineageStep, ...], Field(max_length=MAX_LINEAGE)] = ()
    baselines: Annotated[tuple[CardBaseline, ...], Field(max_length=16)] = added(1, ())
    license: str | None = None
    datasets: tuple[str, ...] = ()
