"""Requests of the jobs up to the trials, built from the spec and the results so far."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from detnas.architecture import Architecture
from detnas.ledger.entry import LedgerEntry
from detnas.plan.dataset import data_root
from detnas.plan.digests import pool_digest
from detnas.plan.planned_trainings import planned_trainings
from detnas.plan.requests.parts import (
    draws_teachers,
    evolves_from,
    knows_additions,
    precise,
    teaches_alone,
)
from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.records.requests import (
    BaseRequest,
    ExtractRequest,
    Pool,
    PoolPhaseRequest,
    PrepareRequest,
    StudentRequest,
    SubnetsRequest,
    TeacherFiles,
)
from detnas.records.results import DetectorResult, PoolPhaseResult, PrepareResult, Score
from detnas.records.settings import (
    DataLocation,
    Training,
)
from detnas.score import Scorer
from detnas.search.subnets import SubnetBatch
from detnas.spec.manifest import DetNASSearch, SearchSpec
from detnas.spec.search import Strategy
from detnas.teachers import Teacher

_UNTRAINED = Training(epochs=0, learning_rate=Decimal("0.01"), batch_size=1)


@dataclass(frozen=True)
class SearchRequests:
    """Builds the requests of one search; `FinalRequests` those of the jobs after the trials.

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
            by_latency=self.spec.search.counts_latency,
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
            **self.evaluation(keys.base_folder(self.search), prepared),
            seed=self.spec.search.seed,
            training=_UNTRAINED if base.train is None else precise(base.train.training, prepared),
            architecture=base.resolve(),
            weights=self.weights,
            weights_sha256=prepared.weights or None,
            weights_part="Detector" if base.backbone_weights is None else "Backbone",
            frozen_stages=base.kept_stages,
            norm_eval=base.kept_norms,
            zero_init_residual=base.zero_init_residual,
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
            **self.evaluation(folder, prepared),
            seed=teachers.seed,
            training=precise(teachers.phase_training(number), prepared),
            phase=number,
            supernet=teachers.supernet,
            full_space=teachers.space,
            space=teachers.phase_space(number),
            previous=done[-1].weights if done else None,
            supernet_weights=done[0].weights if done else None,
            sort_channels=teachers.sort_channels,
            distillation=teachers.distillation,
            bn_images=teachers.bn_images,
            own_statistics=knows_additions(prepared),
            zero_init_residual=teachers.zero_init_residual,
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
        external = teaches_alone(self.spec) and taught
        return StudentRequest(
            **self.evaluation(keys.trial_folder(self.search, proposal.index), prepared),
            **evolves_from(parent),
            seed=proposal.seed,
            training=precise(self.spec.trial_training, prepared),
            inherit=self.spec.evaluation.inherit,
            zero_init_residual=self.spec.base.zero_init_residual,
            trial=proposal,
            action=proposal.action,
            teacher=proposal.teacher if taught and not external else None,
            draws_teachers=taught and draws_teachers(self.spec),
            pool=pool if taught else None,
            external=prepared.external_teacher if external else None,
            distillation=self.spec.distillation,
        )

    def subnets(self, batch: SubnetBatch, prepared: PrepareResult, pool: Pool) -> SubnetsRequest:
        """Build the request that evaluates subnets of the pool."""
        return SubnetsRequest(
            **self.evaluation(keys.trial_folder(self.search, batch.first), prepared),
            first=batch.first,
            pool=pool,
            subnets=batch.subnets,
        )

    def extraction(
        self, trial: int, subnet: Teacher, prepared: PrepareResult, pool: Pool
    ) -> ExtractRequest:
        """Build the request that takes the subnet of a trial out of the pool."""
        folder = keys.extraction_folder(self.search, trial)
        return ExtractRequest(**self.evaluation(folder, prepared), pool=pool, subnet=subnet)

    def evaluation(self, folder: str, prepared: PrepareResult) -> dict[str, Any]:
        """Return the fields of every request to evaluate."""
        return {
            **self.job_data(folder, prepared),
            "classes": prepared.classes,
            "detector": self.spec.detector,
            "resolutions": self.spec.resolutions,
            "evaluation_batch": self.spec.evaluation_batch,
            "by_orientation": knows_additions(prepared),
        }

    def job_data(self, folder: str, prepared: PrepareResult) -> dict[str, Any]:
        """Return the fields of every request that reads the data set."""
        return {
            "key": folder,
            "data": self.data,
            "annotations": prepared.annotations,
            "image_listing": prepared.image_listing,
        }
