"""Requests of all jobs of a search, built from the spec and the results so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from detnas.actions import ChannelPruning
from detnas.architecture import Architecture
from detnas.gain import Gain
from detnas.ledger.entry import LedgerEntry
from detnas.plan.dataset import data_root
from detnas.plan.digests import pool_digest
from detnas.plan.final_test import Contestant
from detnas.plan.model_card import model_card
from detnas.plan.planned_trainings import planned_trainings
from detnas.plan.winner import TrainedDetector, Winner
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.exports import ExportSettings
from detnas.records.model_card import LineageStep, ModelCard
from detnas.records.proposal import Proposal
from detnas.records.requests import (
    BaseRequest,
    DetectorToTest,
    DetectorUpgrade,
    ExportRequest,
    ExtractRequest,
    FinalTestRequest,
    Pool,
    PoolPhaseRequest,
    PrepareRequest,
    RepeatedChannelPruning,
    StudentRequest,
    SubnetsRequest,
    TeacherFiles,
)
from detnas.records.results import DetectorResult, PoolPhaseResult, PrepareResult, Score
from detnas.records.settings import (
    DataLocation,
    DetectorShape,
    Precision,
    Resolution,
    Training,
)
from detnas.score import Scorer
from detnas.search.subnets import SubnetBatch
from detnas.spec.manifest import DetNASSearch, SearchSpec
from detnas.spec.search import Finetune, Strategy
from detnas.spec.teachers import TeacherChoice
from detnas.teachers import Teacher

_PRUNING_STEP = Decimal("0.01")
"""Of repeated pruning, so that the result is close to the FLOPs asked for."""

_UNTRAINED = Training(epochs=0, learning_rate=Decimal("0.01"), batch_size=1)


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
    def of_winner(cls, winner: Winner) -> "Exportable":
        """The detector that the search has chosen."""
        chosen = winner.detector
        assert chosen.result.architecture is not None
        return cls(
            shape=chosen.shape,
            architecture=chosen.result.architecture,
            weights=chosen.result.weights,
            resolution=chosen.resolution,
            map=chosen.map,
            gain=winner.gain,
            test=winner.on_test.measured.without_replicates if winner.on_test else None,
        )


@dataclass(frozen=True)
class SearchRequests:
    """Builds every request of one search.

    Attributes:
        manifest: the search.
        search: key of its folder.
        folder: base of the manifest's relative paths; None on a cluster, where that is the root of
            the data set in a job's pod.
        pools: replaces the namespace in a pool's key; by default the namespace.
        existing_pool: key of a supplied pool's folder; by default the digest names the pool.
    """

    manifest: DetNASSearch
    search: str
    folder: Path | None
    pools: str | None = None
    existing_pool: str | None = None

    @cached_property
    def spec(self) -> SearchSpec:
        """The search's settings."""
        return self.manifest.spec

    @cached_property
    def data(self) -> DataLocation:
        """Location of the data set, by its absolute path."""
        dataset = self.spec.dataset
        return DataLocation(
            root=data_root(dataset.source, self.folder),
            train=dataset.train,
            val=dataset.val,
            train_images=dataset.train_images,
            val_images=dataset.val_images,
            horizontal_flip=dataset.horizontal_flip,
            test=dataset.test,
            test_images=dataset.test_images,
        )

    @property
    def weights(self) -> str | None:
        """Path or URI of the base's initial weights; None if there are none.

        A search with a warm start, which may inherit the base, reads none.
        """
        weights = self.spec.base.initial_weights if self.spec.warm_start is None else None
        return None if weights is None else self._located(weights)

    @property
    def teacher(self) -> TeacherFiles | None:
        """Path or URI of the external teacher's files; None if there is none."""
        teacher = self.spec.teachers.external
        if teacher is None:
            return None
        return TeacherFiles(
            config=self._located(teacher.config),
            weights=self._located(teacher.weights),
            class_aware=any(
                one.localization == "ClassAware" and one.localization_weight
                for one in self.spec.external_distillations
            ),
        )

    def _located(self, address: str) -> str:
        """A URI as it is; an absolute path for a relative one."""
        if "://" in address:
            return address
        if self.folder is None:
            return f"{data_root(self.spec.dataset.source, None)}/{address}"
        return str((self.folder / address).absolute())

    def scorer(
        self, prepared: PrepareResult, architecture: Architecture, scores: tuple[Score, ...] = ()
    ) -> Scorer:
        """Return what scores students against a base."""
        return Scorer(
            architecture=architecture,
            detector=self.spec.detector,
            classes=len(prepared.classes),
            base_resolution=self.spec.base_resolution,
            alpha=float(self.spec.search.alpha),
            beta=float(self.spec.search.beta),
            scores=scores,
            supernet=self.spec.teachers.supernet if self.spec.searches_pool else None,
        )

    def prepare(self) -> PrepareRequest:
        """Build the request of the data check."""
        return PrepareRequest(
            key=keys.prepare_folder(self.search),
            data=self.data,
            resolutions=self.spec.resolutions,
            trainings=planned_trainings(self.spec),
            anchor_scale=min(self.spec.detector.scales),
            weights=self.weights,
            teacher=self.teacher,
        )

    def base(self, prepared: PrepareResult) -> BaseRequest:
        """Build the request that trains or imports the base."""
        base = self.spec.base
        return BaseRequest(
            **self._evaluation(keys.base_folder(self.search), prepared),
            seed=self.spec.search.seed,
            training=_UNTRAINED if base.train is None else _precise(base.train.training, prepared),
            architecture=base.resolve(),
            weights=self.weights,
            weights_sha256=prepared.weights or None,
            weights_part="Detector" if base.backbone_weights is None else "Backbone",
            frozen_stages=base.kept_stages,
            norm_eval=base.kept_norms,
        )

    def pool_folder(self, prepared: PrepareResult) -> str:
        """Return the key of the pool's folder."""
        if self.existing_pool is not None:
            return self.existing_pool
        images = prepared.image_listing.sha256 if prepared.image_listing else ""
        data = (prepared.digest, images)
        if data not in self._pool_digests:
            self._pool_digests[data] = pool_digest(self.spec, *data)
        digest = self._pool_digests[data]
        return keys.pool_folder(self.pools or self.manifest.metadata.namespace, digest)

    @cached_property
    def _pool_digests(self) -> dict[tuple[str, str], str]:
        """By what they cover of the data: each takes milliseconds, and every pass needs it."""
        return {}

    def pool_phase(
        self, prepared: PrepareResult, done: tuple[PoolPhaseResult, ...]
    ) -> PoolPhaseRequest:
        """Build the request of the phase after those that are done."""
        teachers, number = self.spec.teachers, len(done)
        folder = keys.pool_phase_folder(self.pool_folder(prepared), number)
        return PoolPhaseRequest(
            **self._evaluation(folder, prepared),
            seed=teachers.seed,
            training=_precise(teachers.phase_training(number), prepared),
            phase=number,
            supernet=teachers.supernet,
            full_space=teachers.space,
            space=teachers.phase_space(number),
            previous=done[-1].weights if done else None,
            supernet_weights=done[0].weights if done else None,
            sort_channels=teachers.sort_channels,
            distillation=teachers.distillation,
            bn_images=teachers.bn_images,
            own_statistics=_knows_additions(prepared),
        )

    def pool(self, phases: tuple[PoolPhaseResult, ...]) -> Pool | None:
        """Return the trained pool, as a student's request names it; None if there is none."""
        teachers = self.spec.teachers
        if not teachers.trained_phases:
            return None
        return Pool(
            supernet=teachers.supernet,
            space=teachers.space,
            weights=phases[-1].weights,
            bn_images=teachers.bn_images,
            seed=teachers.seed,
        )

    def trial(
        self,
        proposal: Proposal,
        prepared: PrepareResult,
        parent: DetectorResult | LedgerEntry,
        pool: Pool | None,
    ) -> StudentRequest:
        """Build the request of a trial: fast evaluation of a proposal on its parent's student."""
        taught = self.spec.search.strategy is not Strategy.PIPELINE
        external = self._teaches_alone and taught
        return StudentRequest(
            **self._evaluation(keys.trial_folder(self.search, proposal.index), prepared),
            **_student(parent),
            seed=proposal.seed,
            training=_precise(self.spec.trial_training, prepared),
            inherit=self.spec.evaluation.inherit,
            trial=proposal,
            action=proposal.action,
            teacher=proposal.teacher if taught and not external else None,
            draws_teachers=taught and self._draws_teachers,
            pool=pool if taught else None,
            external=prepared.external_teacher if external else None,
            distillation=self.spec.distillation,
        )

    def subnets(self, batch: SubnetBatch, prepared: PrepareResult, pool: Pool) -> SubnetsRequest:
        """Build the request that evaluates subnets of the pool."""
        return SubnetsRequest(
            **self._evaluation(keys.trial_folder(self.search, batch.first), prepared),
            first=batch.first,
            pool=pool,
            subnets=batch.subnets,
        )

    def extraction(
        self, trial: int, subnet: Teacher, prepared: PrepareResult, pool: Pool
    ) -> ExtractRequest:
        """Build the request that takes the subnet of a trial out of the pool."""
        folder = keys.extraction_folder(self.search, trial)
        return ExtractRequest(**self._evaluation(folder, prepared), pool=pool, subnet=subnet)

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
        settings = self.spec.finetune
        assert settings is not None
        training = self._evaluation(folder, prepared)
        training["detector"] = best.shape
        if settings.resolution is not None:
            training["resolutions"] = (settings.resolution,)
        return StudentRequest(
            kind="Finetune",
            **training,
            **_student(best.result),
            seed=self.spec.search.seed,
            training=_precise(settings.training, prepared),
            action=self._final_pruning(settings, base_flops),
            **self._finetuning_teacher(best, prepared, pool),
            upgrade=_upgrade(settings),
            distillation=self.spec.finetune_distillation,
        )

    def _finetuning_teacher(
        self, best: TrainedDetector, prepared: PrepareResult, pool: Pool | None
    ) -> dict[str, Any]:
        """The external teacher if there is one; else its own, and of a subnet the supernet."""
        if self.spec.teachers.external is None:
            drawn, teacher = self._draws_teachers, best.teacher
            if self.spec.searches_pool and pool is not None:
                teacher = pool.space.largest
            return {"teacher": teacher, "draws_teachers": drawn, "pool": pool}
        new = not self._teaches_alone
        return {"external": prepared.external_teacher, "new_adaptor": new}

    @property
    def _teaches_alone(self) -> bool:
        """Whether the external teacher teaches all students."""
        return self.spec.teachers.choice is TeacherChoice.EXTERNAL

    @property
    def _draws_teachers(self) -> bool:
        return self.spec.teachers.choice is TeacherChoice.PER_ITERATION

    def _final_pruning(
        self, settings: Finetune, base_flops: int
    ) -> ChannelPruning | RepeatedChannelPruning | None:
        options = self.spec.search.actions
        limits = {
            "minimum_channels": options.minimum_channels,
            "channel_divisor": options.channel_divisor,
        }
        if settings.channel_fraction is not None:
            return ChannelPruning(fraction=settings.channel_fraction, **limits)
        if settings.flops_fraction is not None:
            return RepeatedChannelPruning(
                step=ChannelPruning(fraction=_PRUNING_STEP, **limits),
                flops=int(settings.flops_fraction * base_flops),
                resolution=self.spec.base_resolution,
            )
        return None

    def final_test(
        self, folder: str, contestants: Iterable[Contestant], prepared: PrepareResult
    ) -> FinalTestRequest:
        """Build the request that scores detectors on the test images."""
        return FinalTestRequest(
            key=folder,
            data=self.data,
            annotations=prepared.test_annotations,
            image_listing=prepared.test_listing,
            classes=prepared.classes,
            detectors=self.detectors_to_test(contestants),
            evaluation_batch=self.spec.evaluation_batch,
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
    ) -> ExportRequest:
        """Build the request that exports the winner as a folder for stock mmdet, and as files."""
        card = model_card(winner.detector, base, prepared, lineage, self.spec.model_card)
        exported = replace(Exportable.of_winner(winner), card=card)
        if self.spec.export is not None and _knows_additions(prepared):
            exported = replace(exported, files=self.spec.export)
        return self.export_of(folder, exported, prepared, base)

    def export_of(
        self, folder: str, exported: Exportable, prepared: PrepareResult, base: TrainedDetector
    ) -> ExportRequest:
        """Build the request that exports any trained detector."""
        assert base.result.architecture is not None
        data = self._data(folder, prepared)
        if not _knows_additions(prepared):
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
            evaluation_batch=self.spec.evaluation_batch,
            base_detector=None if exported.shape == base.shape else base.shape,
            gain=exported.gain,
            test=exported.test,
            card=exported.card if _knows_additions(prepared) else None,
            files=files if files is not None and files.wanted else None,
        )

    def _evaluation(self, folder: str, prepared: PrepareResult) -> dict[str, Any]:
        return {
            **self._data(folder, prepared),
            "classes": prepared.classes,
            "detector": self.spec.detector,
            "resolutions": self.spec.resolutions,
            "evaluation_batch": self.spec.evaluation_batch,
            "by_orientation": _knows_additions(prepared),
        }

    def _data(self, folder: str, prepared: PrepareResult) -> dict[str, Any]:
        return {
            "key": folder,
            "data": self.data,
            "annotations": prepared.annotations,
            "image_listing": prepared.image_listing,
        }


def _upgrade(settings: Finetune) -> DetectorUpgrade | None:
    upgrade = settings.upgrade
    if upgrade is None:
        return None
    return DetectorUpgrade(deformable=upgrade.dcn, cascade=upgrade.cascade)


def _knows_additions(prepared: PrepareResult) -> bool:
    """Whether the search's pinned trainer reads requests with fields added to the first format."""
    return prepared.image_listing is not None


def _precise(training: Training, prepared: PrepareResult) -> Training:
    """The schedule with a precision: without one, 32 bits are meant, as by earlier versions."""
    if training.precision is not None or not _knows_additions(prepared):
        return training
    return training.model_copy(update={"precision": Precision.AUTO})


def _student(parent: DetectorResult | LedgerEntry) -> dict[str, Any]:
    return {
        "parent": parent.architecture,
        "parent_added": parent.added,
        "parent_weights": parent.weights,
    }
