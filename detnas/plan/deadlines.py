"""How long a job may hold its node where the manifest names no deadline."""

from collections.abc import Mapping

from detnas.plan.stages import Verb
from detnas.records.results import DetectorResult, PrepareResult
from detnas.spec.jobs import layered
from detnas.spec.manifest import SearchSpec

PREPARE = 6 * 3600.0
SHORTEST_TRIAL = 3600.0
MARGIN = 5.0
"""Times the predicted time, that a trial may take."""

_WHERE = ("gpu_resource", "node_selector", "affinity", "tolerations", "resources")
"""Fields of jobs that decide on which devices they run, with the number of GPUs."""
_STEP = 3.0
"""A training step costs about three forward passes."""
_DISTILLING = 2.0
"""What a student's step costs with its teacher's forward pass, in steps without a teacher."""


def default_deadline(
    verb: Verb, spec: SearchSpec, prepare: PrepareResult | None, base: DetectorResult | None
) -> float | None:
    """Return for how many seconds a job may hold its node, all attempts together.

    None where there is no default: for other kinds of jobs, where ``spec.deadlines`` has one, and
    for trials as long as nothing was measured, or where they ask for other devices than the base.

    Args:
        verb: kind of the job.
        spec: of the search.
        prepare: what the data check found.
        base: the base's result, whose speed was measured.
    """
    if verb is Verb.PREPARE:
        return PREPARE if spec.deadlines.prepare is None else None
    if verb is not Verb.EVALUATE or spec.deadlines.trial is not None:
        return None
    if prepare is None or base is None or not base.seconds.get("evaluating"):
        return None
    if not _on_the_same_devices(spec):
        return None
    return max(SHORTEST_TRIAL, MARGIN * predicted_trial_seconds(spec, prepare, base))


def _on_the_same_devices(spec: SearchSpec) -> bool:
    """Whether the base's speed says something of trials: both ask for the same devices."""
    jobs = spec.jobs
    base, trial = (layered(*filter(None, (jobs, kind))) for kind in (jobs.base, jobs.trial))
    same = all(getattr(base, name) == getattr(trial, name) for name in _WHERE)
    return same and spec.base.gpus == spec.evaluation.gpus


def predicted_trial_seconds(
    spec: SearchSpec, prepare: PrepareResult, base: DetectorResult
) -> float:
    """Return how long a trial takes if its student is as fast as the base.

    A base that was not trained tells of evaluation only: from that follows the cost of a step.
    """
    seconds = base.seconds
    images = prepare.train.images if prepare.train is not None else 0
    training = spec.evaluation.epochs * images * _seconds_per_image(spec, prepare, base)
    around = sum(seconds.values()) - seconds.get("training", 0.0)
    return training * _DISTILLING + around


def _seconds_per_image(spec: SearchSpec, prepare: PrepareResult, base: DetectorResult) -> float:
    """Seconds that the base needs to learn from one image."""
    trained = base.seconds.get("training", 0.0)
    if spec.base.train is not None and base.iterations and trained:
        return trained / (base.iterations * spec.base.train.batch_size)
    seen = (prepare.val.images if prepare.val is not None else 0) * len(spec.resolutions)
    return _STEP * base.seconds["evaluating"] / seen if seen else 0.0


def overrun(verb: Verb, seconds: float) -> str:
    """Say that a job held its node for longer than its default deadline of ``seconds``."""
    why: Mapping[Verb, str] = {
        Verb.EVALUATE: "five times what the base's speed predicts for a trial, at least an hour",
        Verb.PREPARE: "the default for the data check",
    }
    field = {Verb.EVALUATE: "trial", Verb.PREPARE: "prepare"}[verb]
    return (
        f"held its node for more than {seconds / 60:.0f} minutes, {why[verb]}; if it does not "
        f"hang, allow more by spec.deadlines.{field}"
    )
