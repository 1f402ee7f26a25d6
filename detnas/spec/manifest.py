"""The DetNASSearch manifest: what a user writes, on a laptop as on a cluster."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from detnas.records.exports import ExportSettings
from detnas.records.results import MAX_RESOLUTIONS
from detnas.records.settings import DetectorShape, Distillation, Resolution, Schedule, Training
from detnas.schema import Flag, Positive, Schema, added
from detnas.spec.affinity import LabelKey, LabelValue
from detnas.spec.base import Base, BaseTraining
from detnas.spec.baselines import BASELINES, NO_BASE_TO_COMPARE, NOT_WITH_UPGRADE, Baseline
from detnas.spec.dataset import Dataset
from detnas.spec.jobs import Jobs
from detnas.spec.limits import Deadlines, Limits
from detnas.spec.model_card import CardSettings
from detnas.spec.objectives import MAX_OBJECTIVES, DetectorLimits
from detnas.spec.patterns import LABEL, NAMESPACE
from detnas.spec.search import (
    Evaluation,
    EvaluationMode,
    Finetune,
    Retention,
    Search,
    Strategy,
)
from detnas.spec.storage import Storage, WarmStart
from detnas.spec.teachers import TeacherChoice, Teachers
from detnas.teachers import TeacherSpace

CLASS_AWARE_IN_CASCADE = (
    "ClassAware compares a box for each class, and the heads of detector.head Cascade have one "
    "for all; set it to Plain or None"
)
API_VERSION = "detnas.dev/v1alpha1"
KIND = "DetNASSearch"
Label = Annotated[str, Field(pattern=LABEL, max_length=48)]


class Metadata(Schema):
    """Name of the search, a DNS-1035 label of at most 48 characters.

    Labels and annotations are for the cluster's tools and have no effect here.
    """

    name: Label
    namespace: Annotated[str, Field(pattern=NAMESPACE, max_length=63)] = "local"
    labels: dict[LabelKey, LabelValue] = {}
    annotations: dict[LabelKey, str] = {}


PAPER_RESOLUTIONS = tuple(
    Resolution(width=width, height=height)
    for width, height in ((512, 512), (800, 600), (1080, 720), (1333, 800))
)


INHERITS_NO_SUBNETS = (
    "warmStart inherits trained students, and a search of strategy TeacherPool trains none; leave "
    "one of them out"
)


TUNES_ONE_SUBNET = (
    "strategy TeacherPool extracts only the best subnet, so there is one to be fine-tuned; leave "
    "finetune.candidates out"
)


ON_ONE_KIND_OF_DEVICE = (
    "search.objective Latency compares times of one kind of device; give base, evaluation and "
    "finetune GPUs, or each gpus: 0"
)


SEARCHES_NO_POOL = (
    "strategy TeacherPool searches the pool, and with teachers.choice: External there is none; "
    "change one of them"
)


class SearchSpec(Schema):
    """All settings of a search; every default is the paper's."""

    base: Base
    dataset: Dataset
    detector: DetectorShape = Field(
        DetectorShape(), description="Shape of neck and heads, shared by base and students."
    )
    resolutions: tuple[Resolution, ...] = Field(
        PAPER_RESOLUTIONS,
        min_length=1,
        max_length=MAX_RESOLUTIONS,
        description="Sizes used in training and evaluation; the largest is the base resolution.",
    )
    teachers: Teachers = Field(Teachers(), description="The elastic teacher pool.")
    search: Search = Field(Search(), description="What is tried, and for how long.")
    evaluation: Evaluation = Field(Evaluation(), description="Training of each trial.")
    distillation: Distillation = Field(Distillation(), description="Losses under a teacher.")
    finetune: Finetune | None = Field(
        None,
        description="Fine-tune the best student after the search. Default: it is not fine-tuned.",
    )
    baselines: tuple[Baseline, ...] = added(1, (), max_length=len(Baseline), description=BASELINES)
    objectives: tuple[DetectorLimits, ...] = added(
        1,
        (),
        max_length=MAX_OBJECTIVES,
        description="Limits, for each of which a detector is recommended, in the status and by "
        "`detnas recommend`. They do not change the search.",
    )
    export: ExportSettings | None = added(
        1,
        description="Files that run without mmdet, beside the exported folder. Default: none; "
        "`detnas export` writes them later, too.",
    )
    model_card: CardSettings = added(
        1, CardSettings(), description="What the README of the exported folder states."
    )
    retention: Retention = Field(
        Retention(), description="Which weights are retained in the store."
    )
    storage: Storage | None = Field(None, description="Where weights and results are stored.")
    evaluation_batch: Positive = Field(8, description="Images per batch of an evaluation.")
    warm_start: WarmStart | None = Field(
        None, description="Inherit another search's ledger and weights."
    )
    jobs: Jobs = Field(Jobs(), description="How jobs run on a cluster.")
    limits: Limits = Field(
        Limits(), description="What stops a search that fails or costs too much."
    )
    deadlines: Deadlines = Field(
        Deadlines(), description="How long each job may be active, in seconds."
    )
    suspend: Flag = Field(
        False, description="Stop every job and start none until this is false again."
    )

    @model_validator(mode="after")
    def _distinct_resolutions(self) -> "SearchSpec":
        for number, resolution in enumerate(self.resolutions):
            if resolution in self.resolutions[:number]:
                raise ValueError(f"resolutions: {resolution} is listed twice; list each once")
        return self

    @model_validator(mode="after")
    def _comparable_baselines(self) -> "SearchSpec":
        for number, baseline in enumerate(self.baselines):
            if baseline in self.baselines[:number]:
                raise ValueError(f"baselines: {baseline} is listed twice; list each once")
        if self.baselines and self.searches_pool:
            raise ValueError(NO_BASE_TO_COMPARE)
        if self.baselines and self.finetune is not None and self.finetune.upgrade is not None:
            raise ValueError(NOT_WITH_UPGRADE)
        return self

    @model_validator(mode="after")
    def _comparable_boxes(self) -> "SearchSpec":
        used: dict[str, Distillation] = {"distillation": self.distillation}
        if self.finetune is not None and self.finetune.distillation is not None:
            used["finetune.distillation"] = self.finetune.distillation
        if self.teachers.trained_phases:
            used["teachers.distillation"] = self.teachers.distillation
        for path, distillation in used.items():
            if self.detector.is_cascade and distillation.localization == "ClassAware":
                raise ValueError(f"{path}.localization: {CLASS_AWARE_IN_CASCADE}")
        return self

    @model_validator(mode="after")
    def _external_teacher_teaches(self) -> "SearchSpec":
        if self.teachers.external is None or self.teachers.choice is TeacherChoice.EXTERNAL:
            return self
        if self.finetune is None:
            raise ValueError(
                "teachers.external teaches the fine-tuning, beside the pool; give finetune, or "
                "teachers.choice: External"
            )
        if self.search.strategy is Strategy.PIPELINE:
            raise ValueError(
                "teachers.external teaches the fine-tuning, and with strategy Pipeline the pool "
                "would teach nothing; set teachers.choice: External"
            )
        return self

    @model_validator(mode="after")
    def _upgrade_has_meaning(self) -> "SearchSpec":
        upgrade = self.finetune.upgrade if self.finetune is not None else None
        if upgrade is None:
            return self
        base = self.base.resolve()
        if upgrade.dcn and not base.traits.deforms:
            raise ValueError(
                f"finetune.upgrade.dcn: {base.family} blocks have no convolution that mmdet makes "
                "deformable; Bottleneck and ResNeXt have"
            )
        if not upgrade.cascade:
            return self
        if self.detector.is_cascade:
            raise ValueError("finetune.upgrade.cascade: the base is a cascade already")
        losses = self.finetune_distillation
        if losses.localization == "ClassAware" and losses.localization_weight:
            raise ValueError(
                "finetune.upgrade.cascade: a cascade has one box for all classes, and the "
                "localization ClassAware compares those of each; set "
                "finetune.distillation.localization to Plain"
            )
        return self

    @model_validator(mode="after")
    def _measures_latency_on_one_kind_of_device(self) -> "SearchSpec":
        jobs = [self.base.gpus, self.evaluation.gpus]
        if self.finetune is not None:
            jobs.append(self.finetune.gpus)
        if self.search.counts_latency and 0 in jobs and any(jobs):
            raise ValueError(ON_ONE_KIND_OF_DEVICE)
        return self

    @property
    def named_files(self) -> dict[str, str]:
        """Paths and URIs of the files beside the data set, by their fields below `spec`."""
        named = {self.base.weights_field: self.base.initial_weights}
        if (external := self.teachers.external) is not None:
            named |= {
                "teachers.external.config": external.config,
                "teachers.external.weights": external.weights,
            }
        return {field: address for field, address in named.items() if address is not None}

    @property
    def finetune_distillation(self) -> Distillation:
        """The losses of the fine-tuning."""
        own = self.finetune.distillation if self.finetune is not None else None
        return own or self.distillation

    @property
    def external_distillations(self) -> tuple[Distillation, ...]:
        """The losses of every training under the external teacher."""
        if self.teachers.external is None:
            return ()
        is_pipeline = self.search.strategy is Strategy.PIPELINE
        trials = self.teachers.choice is TeacherChoice.EXTERNAL and not is_pipeline
        finetune = () if self.finetune is None else (self.finetune_distillation,)
        return (*((self.distillation,) if trials else ()), *finetune)

    @model_validator(mode="after")
    def _has_a_pool_to_search(self) -> "SearchSpec":
        if self.searches_pool and self.warm_start is not None:
            raise ValueError(INHERITS_NO_SUBNETS)
        if self.searches_pool and self.teachers.choice is TeacherChoice.EXTERNAL:
            raise ValueError(SEARCHES_NO_POOL)
        if self.searches_pool and self.finetune is not None and self.finetune.candidates > 1:
            raise ValueError(TUNES_ONE_SUBNET)
        return self

    @property
    def searches_pool(self) -> bool:
        """Whether the pool's subnets are what is searched."""
        return self.search.strategy is Strategy.TEACHER_POOL

    @property
    def proposed_space(self) -> TeacherSpace:
        """The teachers, or the subnets, that a search may propose."""
        return self.teachers.space if self.searches_pool else self.teachers.search_space

    @property
    def base_resolution(self) -> Resolution:
        """R_base of the score: the largest listed."""
        return max(self.resolutions, key=lambda resolution: resolution.pixels)

    @property
    def trial_training(self) -> Training:
        """The schedule of each trial."""
        if self.evaluation.mode is EvaluationMode.ITERATIVE:
            return self.evaluation.training
        full = self.base.train or BaseTraining()
        return full.training.model_copy(update={"schedule": Schedule.COSINE})

    @property
    def climbing(self) -> Search:
        """Settings of hill climbing: if no teacher is searched, trials evolve the student."""
        if self.teachers.are_searched or not self.search.student_probability:
            return self.search
        return self.search.model_copy(update={"student_probability": Decimal(1)})


class DetNASSearch(Schema):
    """A search for a smaller, better detector."""

    api_version: Literal["detnas.dev/v1alpha1"]
    kind: Literal["DetNASSearch"]
    metadata: Metadata
    spec: SearchSpec

    @model_validator(mode="after")
    def _starts_from_another(self) -> "DetNASSearch":
        warm = self.spec.warm_start
        if warm is not None and warm.search == self.metadata.name:
            raise ValueError(
                f"spec.warmStart.from names this search itself, {warm.search}; name another"
            )
        return self
