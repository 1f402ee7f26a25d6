"""The elastic supernet: an ordinary detector that can become any of its subnets temporarily.

Within `ElasticDetector.subnet(teacher)` the detector's modules hold slices of their own
parameters, made with gradient, so whatever runs the detector inside runs the subnet, and its
backward pass, inside or later, reaches the supernet's parameters.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor, nn

from detnas.errors import UserError
from detnas.teachers import SupernetShape, Teacher, TeacherSpace
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.roi_head import roi_extractors
from detnas_trainer.supernet.slicing import SubnetPlan, plain_layer, plan_subnet


class _Slot(NamedTuple):
    """Where a module keeps one tensor or submodule, and the name it has in the state dict."""

    holder: MutableMapping[str, Any]
    key: str
    name: str


class ElasticDetector:
    """A supernet whose subnets share its parameters.

    It is trained in place.

    Raises:
        UserError: the detector is not the space's largest teacher.
    """

    def __init__(
        self, detector: TwoStageDetector, shape: SupernetShape, space: TeacherSpace
    ) -> None:
        self.detector = detector
        self.shape = shape
        self.space = space
        self._active = False
        _check_largest(detector, plan_subnet(shape, space, space.largest))

    def loss(self, teacher: Teacher, inputs: Tensor, samples: list[Any]) -> dict[str, Any]:
        """Losses of one subnet.

        Raises:
            UserError: the teacher is not in the space.
        """
        with self.subnet(teacher) as detector:
            return detector.loss(inputs, samples)

    @contextmanager
    def subnet(self, teacher: Teacher) -> Iterator[TwoStageDetector]:
        """The detector as one subnet: its modules, parameters and state dict are the subnet's.

        Batch norms of a subnet work on copies of the sliced statistics, so the supernet's own are
        those of its largest network's steps alone. The largest subnet is the supernet itself.

        Raises:
            UserError: the teacher is not in the space.
            RuntimeError: another subnet is active.
        """
        plan = plan_subnet(self.shape, self.space, teacher)
        if self._active:
            raise RuntimeError("a subnet is active already; leave it before entering another")
        self._active = True
        displaced: list[tuple[_Slot, Any]] = []
        try:
            if teacher != self.space.largest:
                for slot, value in self._substitutes(plan):
                    displaced.append((slot, slot.holder[slot.key]))
                    slot.holder[slot.key] = value
            yield self.detector
        finally:
            for slot, value in reversed(displaced):
                slot.holder[slot.key] = value
            self._active = False

    # Found at the first step: until then batch norms may be replaced by synchronised ones.
    @cached_property
    def _parameters(self) -> list[_Slot]:
        return _slots(self.detector, "_parameters")

    @cached_property
    def _buffers(self) -> list[_Slot]:
        return _slots(self.detector, "_buffers")

    def _substitutes(self, plan: SubnetPlan) -> Iterator[tuple[_Slot, Any]]:
        for slot in self._parameters:
            whole = slot.holder[slot.key]
            part = plan.view(slot.name, whole)
            if part is not None and part is not whole:
                yield slot, part
        for slot in self._buffers:
            part = plan.view(slot.name, slot.holder[slot.key])
            if part is not None:
                yield slot, part.clone()
        yield from self._structure(plan)

    def _structure(self, plan: SubnetPlan) -> Iterator[tuple[_Slot, Any]]:
        backbone = self.detector.backbone
        for stage, depth in enumerate(plan.architecture.depths, 1):
            layer = getattr(backbone, f"layer{stage}")
            if depth < len(layer):
                yield _Slot(backbone._modules, f"layer{stage}", ""), layer[:depth]
        first = backbone.layer1[0]
        if plan.architecture.blocks[0].projection is None and first.downsample is not None:
            yield _Slot(first._modules, "downsample", ""), None
        for extractor in roi_extractors(self.detector.roi_head):
            yield _Slot(vars(extractor), "out_channels", ""), plan.neck


def _check_largest(detector: nn.Module, plan: SubnetPlan) -> None:
    weights: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for name, weight in detector.named_parameters():
        layer, _, kind = name.rpartition(".")
        if kind == "weight":
            weights.setdefault(plain_layer(layer), []).append((name, tuple(weight.shape)))
    for layer, active in plan.layers.items():
        for name, shape in weights.get(layer, [(f"{layer}.weight", ())]):
            found, expected = shape[:2], active.sizes(shape)
            if not found or any(e not in (None, f) for e, f in zip(expected, found, strict=False)):
                raise UserError(
                    f"supernet: {name} has channels {found or None}; the largest teacher's are "
                    f"{expected}",
                    "build it from the space's largest teacher",
                )


def _slots(detector: nn.Module, kind: str) -> list[_Slot]:
    """Every parameter or persistent buffer of the detector, with its place."""
    return [
        _Slot(holder, key, f"{prefix}.{key}" if prefix else key)
        for prefix, module in detector.named_modules()
        for holder in [getattr(module, kind)]
        for key, value in holder.items()
        if value is not None and key not in module._non_persistent_buffers_set
    ]
