"""Estimates of mAP that allow for the noise of its measurement (`search.selection: Shrunk`).

The largest of many noisy values is too large: a trial whose validation was lucky becomes the parent
of others, and is exported. So a trial's mAP is estimated from two sources, as a Kalman filter does
along the lineage: from its own measurement y with standard error e, and from its parent's estimate
m with standard error s, from which a step of this kind departs by q (standard deviation):

    w = (s² + q²) / (s² + q² + e²)        estimate = m + w (y − m)        error = e √w

Its H is the estimate times what is known exactly, the factor of complexity and resolution, in which
the step's change of C is contained. An estimate differs from y by much only if e is large compared
with what steps change, and the parent is known better.

The spread q of each kind of step is itself estimated from the ledger: the mean of
(y − m)² − s² − e² over the trials of this kind, together with a few assumed trials of the spread of
all kinds, which is estimated alike from a typical one (empirical Bayes). A trial's request records
m, s and q of the moment it was decided, so that its estimate follows from its own records alone.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import pvariance

from detnas.records.proposal import ExpectedScore, Prior, Proposal
from detnas.records.results import Score
from detnas.schema import Count, Schema
from detnas.score import Estimate, ResolutionScore

TYPICAL_SPREAD = 0.02
"""Standard deviation of the change of mAP by a step, assumed before trials have shown it."""

_ASSUMED_TRIALS = 8
"""Trials of the assumed spread."""

_LEAST_SPREAD = TYPICAL_SPREAD / 4
"""No estimate of the spread is below it: else measurements would hardly count any more."""

_UNIT = 1e-9
"""Of squared mAP in sums, which are integers: the order of their terms does not matter."""


class ObservedChanges(Schema):
    """What steps of one kind have changed so far.

    Attributes:
        trials: how many trials are counted.
        squares: sum of their squared changes of mAP less the variance that noise explains, each a
            mean over the resolutions, in billionths; it may be negative.
    """

    trials: Count = 0
    squares: int = 0

    def variance(self, assumed: float) -> float:
        """Variance of the change of mAP by such a step, from an assumed one."""
        squares = _ASSUMED_TRIALS * assumed + self.squares * _UNIT
        return max(squares / (_ASSUMED_TRIALS + self.trials), _LEAST_SPREAD**2)

    def with_trial(self, square: int) -> "ObservedChanges":
        """These and one more trial's, as of `squared_change`."""
        return ObservedChanges(trials=self.trials + 1, squares=self.squares + square)


def step_spread(changes: Mapping[str, ObservedChanges], kind: str) -> float:
    """Standard deviation of the change of mAP by a step of a kind.

    Args:
        changes: what steps of each kind have changed so far.
        kind: of the step.
    """
    every = ObservedChanges(
        trials=sum(one.trials for one in changes.values()),
        squares=sum(one.squares for one in changes.values()),
    )
    typical = every.variance(TYPICAL_SPREAD**2)
    return sqrt(changes.get(kind, ObservedChanges()).variance(typical))


def step_kind(proposal: Proposal) -> str:
    """The kind of step whose spread applies: of a student's action, else of the step."""
    return str(proposal.step if proposal.action is None else proposal.action.kind)


def expected(scores: Sequence[ResolutionScore]) -> tuple[ExpectedScore, ...]:
    """What is known of a trial as a parent; nothing where the error is unknown."""
    return tuple(
        ExpectedScore(resolution=one.resolution, map=one.estimate.map, error=one.estimate.error)
        for one in scores
        if one.estimate is not None
    )


def expected_of_base(base: Sequence[Score]) -> tuple[ExpectedScore, ...]:
    """What is known of the base as a parent.

    With replicates, errors are those of differences from the base, so its own are 0.
    """
    return tuple(
        ExpectedScore(
            resolution=one.resolution, map=one.map, error=0.0 if one.replicates else one.map_error
        )
        for one in base
        if one.map_error is not None
    )


def with_estimates(
    scored: Sequence[ResolutionScore],
    prior: Prior,
    measured: Sequence[Score] = (),
    base: Sequence[Score] = (),
) -> tuple[ResolutionScore, ...]:
    """Add the estimates of mAP to a trial's scores; where the error is unknown there is none.

    Args:
        scored: the trial's, one per resolution.
        prior: what was known of it before.
        measured: the same scores with their replicates, if they are known.
        base: of the base, with its replicates.
    """
    before = {one.resolution: one for one in prior.parent}
    ours, theirs = ({one.resolution: one for one in scores} for scores in (measured, base))
    found = []
    for one in scored:
        at = one.resolution
        noise = _noise(one, ours.get(at), theirs.get(at))
        estimate = None if noise is None else shrunk(one.map, noise, before.get(at), prior.spread)
        found.append(one.model_copy(update={"estimate": estimate}))
    return tuple(found)


def shrunk(measured: float, noise: float, parent: ExpectedScore | None, spread: float) -> Estimate:
    """Estimate mAP from its measurement and the parent's; the formula is the module's.

    Args:
        measured: y.
        noise: e, its standard error.
        parent: the estimate m with its error s; None if nothing is known.
        spread: q, the standard deviation of the step's change.
    """
    if parent is None:
        return Estimate(map=measured, error=noise, noise=noise)
    before = parent.error**2 + spread**2
    total = before + noise**2
    weight = before / total if total else 1.0
    moved = parent.map + weight * (measured - parent.map)
    return Estimate(map=moved, error=noise * sqrt(weight), noise=noise)


def squared_change(scores: Sequence[ResolutionScore], prior: Prior) -> int | None:
    """The squared change of a trial's mAP less what noise explains, as `ObservedChanges` sums it.

    None if the errors of the trial or of its parent are unknown.
    """
    before = {one.resolution: one for one in prior.parent}
    squares = [
        (one.map - parent.map) ** 2 - parent.error**2 - one.estimate.noise**2
        for one in scores
        if one.estimate is not None and (parent := before.get(one.resolution)) is not None
    ]
    return round(sum(squares) / len(squares) / _UNIT) if squares else None


def _noise(scored: ResolutionScore, ours: Score | None, base: Score | None) -> float | None:
    """Standard error of a measurement.

    With replicates of both, that of the difference from the base: what all detectors' errors have
    in common, because they are scored on the same images, does not matter for a selection.
    """
    if ours is None or base is None or not ours.replicates:
        return scored.map_error
    if len(ours.replicates) != len(base.replicates):
        return scored.map_error
    pairs = zip(ours.replicates, base.replicates, strict=True)
    return sqrt(pvariance([one - other for one, other in pairs]))
