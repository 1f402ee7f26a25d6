"""One phase of integrated progressive shrinking, as what the train loop trains (paper, A.1.3).

Phase 0 trains the supernet plainly. Each later phase draws one subnet per iteration from its
space, and the supernet as phase 0 left it teaches that subnet.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from detnas.errors import UserError
from detnas.records.requests import PoolLayout, PoolPhaseRequest
from detnas_trainer.data.detection_data import Batch
from detnas_trainer.detector import ADAPTOR, build_detector, load_detector
from detnas_trainer.distillation import Adaptor, Distiller, frozen_teacher
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.supernet.elastic import ElasticDetector
from detnas_trainer.supernet.importance import sort_channels
from detnas_trainer.supernet.sampling import subnet_at
from detnas_trainer.supernet.teacher import extract_teacher
from detnas_trainer.trainee import DetectorTrainee, Losses

State = Mapping[str, Tensor]


class ShrinkingPhase(DetectorTrainee):
    """A later phase: one subnet per iteration, distilled from the supernet of phase 0.

    The adaptor is part of the module, under the name ``adaptor``, so that the next phase continues
    with it; a subnet with a narrower neck enters through its first inputs.
    """

    def __init__(
        self,
        request: PoolPhaseRequest,
        supernet: TwoStageDetector,
        teacher: TwoStageDetector,
        adaptor: Adaptor | None,
    ) -> None:
        if adaptor is not None:
            supernet.add_module(ADAPTOR, adaptor)
        super().__init__(supernet.train())
        self._request = request
        self._elastic = ElasticDetector(supernet, request.supernet, request.full_space)
        self._distiller = Distiller(
            supernet, frozen_teacher(teacher), request.distillation, adaptor
        )

    def loss(self, iteration: int, inputs: Tensor, samples: list[Any]) -> Losses:
        """Losses of the subnet that the iteration draws."""
        subnet = subnet_at(self._request.seed, iteration, self._request.space)
        with self._elastic.subnet(subnet):
            return self._distiller.loss(inputs, samples)


def build_phase(
    request: PoolPhaseRequest,
    previous: State | None,
    supernet: State | None,
    batches: Iterable[Batch] = (),
) -> DetectorTrainee:
    """What a phase trains, before its first step.

    Phase 0 draws its weights from torch's global generator.
    Channels are sorted before the first shrinking phase, the teacher's alike in every phase: so
    student and teacher channels correspond, and the adaptor starts as the identity.

    Args:
        request: the phase.
        previous: weights that it starts from; none for phase 0.
        supernet: weights of phase 0, which teach the later ones.
        batches: training images for the teacher's batch norm statistics, if it gets its own.

    Raises:
        UserError: a shrinking phase lacks one of them, or the supernet a projection.
        WeightsMismatchError: weights of another supernet.
    """
    request.supernet.check_projections(request.full_space)
    if request.phase == 0:
        return DetectorTrainee(_detector(request, previous).train())
    if previous is None or supernet is None:
        missing = "previous" if previous is None else "supernetWeights"
        raise UserError(
            f"{missing} is missing for phase {request.phase} of the pool",
            "a shrinking phase resumes from the phase before and is taught by phase 0's supernet",
        )
    if request.sort_channels:
        architecture = request.supernet.architecture(request.full_space.largest)
        supernet = sort_channels(supernet, architecture)
        previous = sort_channels(previous, architecture) if request.phase == 1 else previous
    return ShrinkingPhase(
        request,
        _detector(request, previous),
        _teacher(request, supernet, batches),
        _adaptor(request, previous),
    )


def _teacher(
    request: PoolPhaseRequest, supernet: State, batches: Iterable[Batch]
) -> TwoStageDetector:
    if not request.own_statistics:
        return _detector(request, supernet)
    return extract_teacher(
        supernet,
        PoolLayout(supernet=request.supernet, space=request.full_space),
        request.full_space.largest,
        request.detector,
        len(request.classes),
        batches,
    )


def _detector(request: PoolPhaseRequest, state: State | None) -> TwoStageDetector:
    largest = request.full_space.largest
    architecture = request.supernet.architecture(largest)
    neck = request.supernet.neck_width(largest)
    classes = len(request.classes)
    if state is not None:
        return load_detector(architecture, request.detector, classes, state, neck)
    return build_detector(
        architecture,
        request.detector,
        classes,
        neck,
        zero_init_residual=request.zero_init_residual,
    )


def _adaptor(request: PoolPhaseRequest, state: State) -> Adaptor | None:
    """The adaptor of the phase before, or a new one that changes nothing yet."""
    if request.distillation.features == "None":
        return None
    if inherited := Adaptor.inherited(state):
        return inherited
    neck = request.supernet.neck_width(request.full_space.largest)
    adaptor = Adaptor(neck, neck)
    assert adaptor.convolution.bias is not None
    nn.init.dirac_(adaptor.convolution.weight)
    nn.init.zeros_(adaptor.convolution.bias)
    return adaptor
