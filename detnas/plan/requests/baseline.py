"""Requests of the baselines: what the best student is compared with."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from detnas.actions import ChannelPruning, narrowed_to
from detnas.architecture import Architecture
from detnas.cost import detector_cost
from detnas.plan.requests.final import FinalRequests
from detnas.plan.requests.parts import evolves_from, precise
from detnas.plan.winner import TrainedDetector
from detnas.records.requests import Pool, RepeatedChannelPruning, StudentRequest
from detnas.records.results import PrepareResult
from detnas.records.settings import Distillation
from detnas.spec.baselines import Baseline
from detnas.spec.manifest import SearchSpec
from detnas.spec.search import Strategy

_PRUNING_STEP = Decimal("0.005")
"""Share of the channels, so that the FLOPs are about a hundredth below the student's at most."""

_PLAIN = Distillation(features="None", localization="None", bn_weight=Decimal(0))


@dataclass(frozen=True, slots=True)
class Compared:
    """The student that baselines are compared with, and the base that they begin with.

    Attributes:
        base: of the search.
        student: the best of the students.
        epochs: that its lineage was trained for, fine-tuning included.
    """

    base: TrainedDetector
    student: TrainedDetector
    epochs: int


def baseline_request(
    final: FinalRequests,
    folder: str,
    baseline: Baseline,
    compared: Compared,
    prepared: PrepareResult,
    pool: Pool | None,
) -> StudentRequest:
    """Build the request of a baseline's training.

    It trains by the schedule of the student's last training, but for as many epochs as the whole
    lineage: epochs rather than steps, so that another batch size shows as many images.

    Args:
        final: builds the requests of the jobs after the trials.
        folder: key of the job's folder.
        baseline: which.
        compared: with what.
        prepared: result of the prepare job.
        pool: that the student's teacher is of; None if there is none.
    """
    search, spec = final.search, final.search.spec
    last = spec.trial_training if spec.finetune is None else spec.finetune.training
    fields = search.evaluation(folder, prepared)
    if spec.finetune is not None and spec.finetune.resolution is not None:
        fields["resolutions"] = (spec.finetune.resolution,)
    return StudentRequest(
        kind="Baseline",
        **fields,
        **evolves_from(compared.base.result),
        seed=spec.search.seed,
        training=precise(last.model_copy(update={"epochs": compared.epochs}), prepared),
        **_own(final, baseline, compared, prepared, pool),
    )


def is_same_baseline(one: StudentRequest, other: StudentRequest) -> bool:
    """Whether two requests train the same detector."""
    compared = ("parent_weights", "training", "action", "narrowed", "teacher", "external")
    return all(getattr(one, field) == getattr(other, field) for field in compared)


def _is_taught(spec: SearchSpec) -> bool:
    """Whether the student's last training had a teacher."""
    return spec.finetune is not None or spec.search.strategy is not Strategy.PIPELINE


def _own(
    final: FinalRequests,
    baseline: Baseline,
    compared: Compared,
    prepared: PrepareResult,
    pool: Pool | None,
) -> dict[str, Any]:
    """What a baseline does to the base, and what teaches it."""
    spec = final.search.spec

    def flops(architecture: Architecture) -> int:
        size, classes = spec.base_resolution, len(prepared.classes)
        return detector_cost(architecture, spec.detector, classes, size).flops

    base, student = compared.base.result.architecture, compared.student.result.architecture
    assert base is not None
    assert student is not None
    limits = final.pruning_limits
    if baseline is Baseline.ONE_SHOT_PRUNED:
        return {
            "action": RepeatedChannelPruning(
                step=ChannelPruning(fraction=_PRUNING_STEP, **limits),
                flops=flops(student),
                resolution=spec.base_resolution,
            ),
            **(final.teaching(compared.student, prepared, pool) if _is_taught(spec) else {}),
        }
    if baseline is Baseline.CONTINUED_BASE:
        return {"distillation": _PLAIN}
    narrowed = narrowed_to(
        base,
        flops,
        flops(student),
        minimum=limits["minimum_channels"],
        divisor=limits["channel_divisor"],
    )
    return {"narrowed": narrowed, "distillation": _PLAIN}
