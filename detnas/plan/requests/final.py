"""Requests of the jobs after the trials, built from the spec and what the trials came to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from detnas.actions import ChannelPruning
from detnas.architecture import Architecture
from detnas.gain import Gain
from detnas.plan.final_test import Contestant
from detnas.plan.model_card import model_card
from detnas.plan.requests.parts import (
    draws_teachers,
    evolves_from,
    knows_additions,
    precise,
    teaches_alone,
)
from detnas.plan.requests.search import SearchRequests
from detnas.plan.winner import TrainedDetector, Winner
from detnas.records.artifacts import Artifact
from detnas.records.exports import ExportSettings
from detnas.records.model_card import CardBaseline, LineageStep, ModelCard
from detnas.records.requests import (
    DetectorToTest,
    DetectorUpgrade,
    ExportRequest,
    FinalTestRequest,
    Pool,
    RepeatedChannelPruning,
    StudentRequest,
)
from detnas.records.results import PrepareResult, Score
from detnas.records.settings import DetectorShape, Resolution
from detnas.spec.manifest import SearchSpec
from detnas.spec.search import Finetune

_PRUNING_STEP = Decimal("0.01")
"""Of repeated pruning, so that the result is close to the FLOPs asked for."""


@dataclass(frozen=True, slots=True)
class Exportable:
    """A trained detector as its export sees it.

    Attributes:
        shape: of its neck and heads.
        architecture: its backbone.
        weights: of the entire detector.
        resolution: at which it is best.
        map: on record at that size, a fraction.
        gain: over the base, if known.
        files: to write beside mmdet's.
        test: what it reaches on the test images, if it was scored there.
        card: what its model card states of the search.
    """

    shape: DetectorShape
    architecture: Architecture
    weights: Artifact
    resolution: Resolution
    map: float
    gain: Gain | None = None
    files: ExportSettings | None = None
    test: Score | None = None
    card: ModelCard | None = None

    @classmethod
    def of_detector(cls, detector: TrainedDetector) -> "Exportable":
        """A student or the base."""
        assert detector.result.architecture is not None
        return cls(
            shape=detector.shape,
            architecture=detector.result.architecture,
            weights=detector.result.weights,
            resolution=detector.resolution,
            map=detector.map,
        )

    @classmethod
    def of_winner(cls, winner: Winner) -> "Exportable":
        """The detector that the search has chosen."""
        return replace(
            cls.of_detector(winner.detector),
            gain=winner.gain,
            test=winner.on_test.measured.without_replicates if winner.on_test else None,
        )


@dataclass(frozen=True, slots=True)
class FinalRequests:
    """Builds the requests of the jobs after the trials.

    Attributes:
        search: builds the others, and names data and settings.
    """

    search: SearchRequests

    @property
    def _spec(self) -> SearchSpec:
        return self.search.spec

    def finetune(
        self,
        folder: str,
        best: TrainedDetector,
        prepared: PrepareResult,
        pool: Pool | None,
        base_flops: int,
    ) -> StudentRequest:
        """Build the request that fine-tunes the best student with its teacher, pruned if asked for.

        A subnet of the pool is taught by the supernet.

        Args:
            folder: key of the job's folder.
            best: the student and its teacher.
            prepared: result of the prepare job.
            pool: that the teacher is of; None if there is none.
            base_flops: C_base, of the base at the base resolution.
        """
        settings = self._spec.finetune
        assert settings is not None
        training = self.search.evaluation(folder, prepared)
        training["detector"] = best.shape
        if settings.resolution is not None:
            training["resolutions"] = (settings.resolution,)
        return StudentRequest(
            kind="Finetune",
            **training,
            **evolves_from(best.result),
            seed=self._spec.search.seed,
            training=precise(settings.training, prepared),
            action=self._final_pruning(settings, base_flops),
            **self.teaching(best, prepared, pool),
            upgrade=_upgrade(settings),
        )

    def teaching(
        self, student: TrainedDetector, prepared: PrepareResult, pool: Pool | None
    ) -> dict[str, Any]:
        """Return the fields of a student's request that name its teacher and the losses under it.

        The external teacher teaches if there is one; else the student's own, and of a subnet the
        supernet.

        Args:
            student: the student and its teacher.
            prepared: result of the prepare job.
            pool: that the teacher is of; None if there is none.
        """
        losses = {"distillation": self._spec.finetune_distillation}
        if self._spec.teachers.external is None:
            drawn, teacher = draws_teachers(self._spec), student.teacher
            if self._spec.searches_pool and pool is not None:
                teacher = pool.space.largest
            return {"teacher": teacher, "draws_teachers": drawn, "pool": pool, **losses}
        new = not teaches_alone(self._spec)
        return {"external": prepared.external_teacher, "new_adaptor": new, **losses}

    @property
    def pruning_limits(self) -> dict[str, int]:
        """What channel pruning leaves in every convolution."""
        options = self._spec.search.actions
        return {
            "minimum_channels": options.minimum_channels,
            "channel_divisor": options.channel_divisor,
        }

    def _final_pruning(
        self, settings: Finetune, base_flops: int
    ) -> ChannelPruning | RepeatedChannelPruning | None:
        limits = self.pruning_limits
        if settings.channel_fraction is not None:
            return ChannelPruning(fraction=settings.channel_fraction, **limits)
        if settings.flops_fraction is not None:
            return RepeatedChannelPruning(
                step=ChannelPruning(fraction=_PRUNING_STEP, **limits),
                flops=int(settings.flops_fraction * base_flops),
                resolution=self._spec.base_resolution,
            )
        return None

    def final_test(
        self, folder: str, contestants: Iterable[Contestant], prepared: PrepareResult
    ) -> FinalTestRequest:
        """Build the request that scores detectors on the test images."""
        return FinalTestRequest(
            key=folder,
            data=self.search.data,
            annotations=prepared.test_annotations,
            image_listing=prepared.test_listing,
            classes=prepared.classes,
            detectors=self.detectors_to_test(contestants),
            evaluation_batch=self._spec.evaluation_batch,
        )

    def detectors_to_test(self, contestants: Iterable[Contestant]) -> tuple[DetectorToTest, ...]:
        """Return the detectors as that request names them."""
        return tuple(
            DetectorToTest(
                name=one.detector.name,
                architecture=one.detector.result.architecture,
                detector=one.detector.shape,
                weights=one.detector.result.weights,
                resolutions=one.resolutions,
            )
            for one in contestants
        )

    def export(
        self,
        folder: str,
        winner: Winner,
        prepared: PrepareResult,
        base: TrainedDetector,
        lineage: Sequence[LineageStep] = (),
        baselines: Iterable[CardBaseline] = (),
    ) -> ExportRequest:
        """Build the request that exports the winner as a folder for stock mmdet, and as files."""
        settings = self._spec.model_card
        card = model_card(winner.detector, base, prepared, lineage, settings, baselines)
        exported = replace(Exportable.of_winner(winner), card=card)
        if self._spec.export is not None and knows_additions(prepared):
            exported = replace(exported, files=self._spec.export)
        return self.export_of(folder, exported, prepared, base)

    def export_of(
        self, folder: str, exported: Exportable, prepared: PrepareResult, base: TrainedDetector
    ) -> ExportRequest:
        """Build the request that exports any trained detector."""
        assert base.result.architecture is not None
        data = self.search.job_data(folder, prepared)
        if not knows_additions(prepared):
            del data["annotations"]
        files = exported.files
        return ExportRequest(
            **data,
            classes=prepared.classes,
            detector=exported.shape,
            architecture=exported.architecture,
            weights=exported.weights,
            resolution=exported.resolution,
            expected_map=exported.map,
            base=base.result.architecture,
            base_weights=base.result.weights,
            base_resolution=base.resolution,
            evaluation_batch=self._spec.evaluation_batch,
            base_detector=None if exported.shape == base.shape else base.shape,
            gain=exported.gain,
            test=exported.test,
            card=exported.card if knows_additions(prepared) else None,
            files=files if files is not None and files.wanted else None,
        )


def _upgrade(settings: Finetune) -> DetectorUpgrade | None:
    upgrade = settings.upgrade
    if upgrade is None:
        return None
    return DetectorUpgrade(deformable=upgrade.dcn, cascade=upgrade.cascade)
