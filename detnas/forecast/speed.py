"""Seconds that a machine takes for a unit of work, measured on it or guessed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from detnas.forecast.spread import Spread, exactly
from detnas.forecast.work import FORWARD, JobWork
from detnas.records.verbs import Verb

SCORING = 1.5 * FORWARD
"""An image's evaluation over a training step of it: forward, suppression, metrics."""

JOB_SECONDS = 1.5
"""Of a job besides its images: loading, checkpoints, records."""

CHECK_SECONDS = 0.01
"""Of the data check for an image: it is read and decoded."""

MEASURED = Spread(low=0.6, expected=1.0, high=2.0)
"""Of a job's time over what follows from one timed step: docs/estimate.md has the comparison."""

GUESSED = Spread(low=0.2, expected=1.0, high=5.0)
"""Likewise, where nothing was timed."""


@dataclass(frozen=True)
class Speed:
    """What one thread, or one GPU, takes.

    Attributes:
        step: seconds for each FLOP of a plain training step, as `detnas.forecast.work` counts.
        scoring: seconds for each FLOP of an evaluation.
        around: seconds of a job besides.
        spread: how far jobs of a kind may be from that, as a factor.
        of_kinds: the same for kinds of which more is known.
    """

    step: float
    scoring: float
    around: float = JOB_SECONDS
    spread: Spread = GUESSED
    of_kinds: Mapping[Verb, Spread] = field(default_factory=dict)

    def seconds(self, work: JobWork, speedup: float) -> float:
        """Return what a job takes, before the factor of its kind.

        Args:
            work: of the job.
            speedup: of its threads or GPUs, over one.
        """
        computed = work.trained * self.step + work.scored * self.scoring
        return computed / speedup + work.images * CHECK_SECONDS + self.around

    def factor(self, verb: Verb) -> Spread:
        """Return the factor for jobs of a kind; the data check is hardly ever the question."""
        return exactly(1.0) if verb is Verb.PREPARE else self.of_kinds.get(verb, self.spread)


def timed_speed(seconds_per_image: float, flops: float, spread: Spread = MEASURED) -> Speed:
    """Return the speed that follows from one training step.

    Args:
        seconds_per_image: of the step, for one image.
        flops: of the detector's forward pass for that image.
        spread: how far jobs may be from it.
    """
    step = seconds_per_image / flops
    return Speed(step=step, scoring=step * SCORING, spread=spread)
