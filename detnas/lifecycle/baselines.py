"""What was exported beside the baselines: its lead over each, and what the model card says."""

from collections.abc import Iterator

from detnas.gain import Gain
from detnas.lifecycle.reading.final_stages import FinalStages
from detnas.lifecycle.reading.state import SearchState
from detnas.plan.winner import TrainedDetector, gain_over
from detnas.records.model_card import CardBaseline
from detnas.records.results import SplitSummary


def lead_over(baseline: TrainedDetector, state: SearchState, stages: FinalStages) -> Gain | None:
    """What was exported less a baseline, on the test images if both were scored there.

    None if the errors are unknown.

    Args:
        baseline: a detector of the search.
        state: of the search.
        stages: they have a winner.
    """
    assert stages.winner is not None
    assert state.prepare is not None
    winner = stages.winner.detector
    tested = [stages.tested.get(one.name, ()) for one in (baseline, winner)]
    if all(tested):
        (behind, *_), (ahead, *_) = tested
        return gain_over(behind, ahead, _images(state.prepare.test), unseen=True)
    return gain_over(baseline, winner, _images(state.prepare.val))


def card_baselines(state: SearchState, stages: FinalStages) -> Iterator[CardBaseline]:
    """Yield the trained baselines as a model card shows them."""
    assert state.scorer is not None
    for one in stages.baselines:
        if one.detector is None:
            continue
        result = one.detector.result
        assert result.architecture is not None
        yield CardBaseline(
            name=one.baseline.words,
            score=one.detector.measured.without_replicates,
            h=one.detector.score,
            flops=state.scorer.score(result.architecture, result.scores).flops,
            lead=lead_over(one.detector, state, stages),
        )


def _images(split: SplitSummary | None) -> int:
    return split.images if split is not None else 0
