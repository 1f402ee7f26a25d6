"""Default deadlines: how long a job may hold its node if the manifest names none."""

from collections.abc import Mapping

from detnas.records.results import DetectorResult, PrepareResult
from detnas.records.verbs import Verb
from detnas.spec.jobs import layered
from detnas.spec.manifest import SearchSpec

PREPARE = 6 * 3600.0
MIN_TRIAL_SECONDS = 3600.0
MARGIN = 5.0
"""A trial may take this many times its predicted time."""

_WHERE = ("gpu_resource", "node_selector", "affinity", "tolerations", "resources")
"""Fields of jobs that, with the number of GPUs, determine their devices."""
_STEP = 3.0
"""Approximate cost of a training step, in forward passes."""
_DISTILLING = 2.0
"""Cost of a step with a teacher's forward pass, in steps without one."""


def default_deadline(
    verb: Verb, spec: SearchSpec, prepare: PrepareResult | None, base: DetectorResult | None
) -> float | None:
    """Return how long a job may hold its node, all attempts together, in seconds.

    None if there is no default: for other kinds of jobs, if ``spec.deadlines`` has one, and for
    trials until the base was measured, or if they request other devices than the base.

    Args:
        verb: kind of the job.
        spec: of the search.
        prepare: result of the data check.
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
    return max(MIN_TRIAL_SECONDS, MARGIN * predicted_trial_seconds(spec, prepare, base))


def _on_the_same_devices(spec: SearchSpec) -> bool:
    """Whether trials run on the same devices as the base, so that its speed is comparable."""
    jobs = spec.jobs
    base, trial = (layered(*filter(None, (jobs, kind))) for kind in (jobs.base, jobs.trial))
    same = all(getattr(base, name) == getattr(trial, name) for name in _WHERE)
    return same and spec.base.gpus == spec.evaluation.gpus


def predicted_trial_seconds(
    spec: SearchSpec, prepare: PrepareResult, base: DetectorResult
) -> float:
    """Return how long a trial takes if its student is as fast as the base.

    Of a base that was not trained only the evaluation is known: the cost of a step follows from it.
    """
    seconds = base.seconds
    images = prepare.train.images if prepare.train is not None else 0
    training = spec.trial_training.epochs * images * _seconds_per_image(spec, prepare, base)
    around = sum(seconds.values()) - seconds.get("training", 0.0)
    return training * _DISTILLING + around


def _seconds_per_image(spec: SearchSpec, prepare: PrepareResult, base: DetectorResult) -> float:
    """Seconds of the base's training per image."""
    trained = base.seconds.get("training", 0.0)
    if spec.base.train is not None and base.iterations and trained:
        return trained / (base.iterations * spec.base.train.batch_size)
    seen = (prepare.val.images if prepare.val is not None else 0) * len(spec.resolutions)
    return _STEP * base.seconds["evaluating"] / seen if seen else 0.0


def overrun(verb: Verb, seconds: float) -> str:
    """Return the message for a job that exceeded its default deadline of ``seconds``."""
    why: Mapping[Verb, str] = {
        Verb.EVALUATE: "five times what the base's speed predicts for a trial, at least an hour",
        Verb.PREPARE: "the default for the data check",
    }
    field = {Verb.EVALUATE: "trial", Verb.PREPARE: "prepare"}[verb]
    return (
        f"held its node for more than {seconds / 60:.0f} minutes, {why[verb]}; if it does not "
        f"hang, allow more by spec.deadlines.{field}"
    )
