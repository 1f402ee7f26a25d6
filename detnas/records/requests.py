"""What a job is to do: `request.json` in the job's own folder, its only input.

A request holds everything the job needs; files of other jobs are named by their artifacts. `key` is
the job's own folder relative to the store's root, so that the root is the job's URI without the
key, and a store can be moved as a whole.

A search keeps the image it began with, so a trainer may be older than what wrote its request:
``detnas.store.record_format`` says what it still reads.
"""

from typing import Annotated, Literal

from pydantic import Field

from detnas.actions import Action, AddedBlock, ChannelPruning
from detnas.architecture import Architecture
from detnas.gain import Gain
from detnas.records.artifacts import IMAGE_LISTING, Artifact
from detnas.records.exports import ExportSettings
from detnas.records.latency import LatencyComparison
from detnas.records.model_card import ModelCard
from detnas.records.proposal import Proposal, Step
from detnas.records.results import MAX_JOB_SUBNETS, MAX_TESTED_DETECTORS, Score
from detnas.records.settings import (
    DataLocation,
    DetectorShape,
    Distillation,
    Resolution,
    Training,
)
from detnas.schema import Count, Flag, Positive, Schema, Tagged, added
from detnas.teachers import SupernetShape, Teacher, TeacherSpace

Resolutions = Annotated[tuple[Resolution, ...], Field(min_length=1, max_length=16)]


TRIAL = "a trial"
"""Name of the training that each trial runs, whichever field of the manifest describes it."""


class PlannedTraining(Schema):
    """A training that the search will run.

    Attributes:
        name: what is trained, for people.
        field: of the manifest, whose fields are those of the schedule.
        training: the schedule.
    """

    name: str
    field: str
    training: Training

    @property
    def is_trial(self) -> bool:
        """Whether each trial runs it."""
        return self.name == TRIAL


class TeacherFiles(Schema):
    """Where the external teacher is.

    Attributes:
        config: path or URI of its configuration.
        weights: path or URI of its checkpoint.
        class_aware: some training compares the boxes that it has for each class.
    """

    config: str
    weights: str
    class_aware: Flag = False


class PrepareRequest(Tagged):
    """Read the data set once; report what it holds, and where the manifest does not fit it.

    Attributes:
        weights: path or URI of the checkpoint that the base starts from.
        trainings: every training that follows; empty if unknown.
        anchor_scale: of the detector; None if unknown.
        teacher: the external teacher, to be tried and stored.
    """

    kind: Literal["Prepare"] = "Prepare"
    key: str
    data: DataLocation
    resolutions: Resolutions
    trainings: tuple[PlannedTraining, ...] = ()
    anchor_scale: Positive | None = None
    weights: str | None = None
    teacher: TeacherFiles | None = added(1)


class DataRequest(Tagged):
    """What every request after the prepare job states of the data set.

    Attributes:
        data: where the images are.
        annotations: SHA-256 of the training and the validation annotations, as the search was
            prepared with them; empty if unknown.
        image_listing: the listing of the images, as the search was prepared with them.
    """

    key: str
    data: DataLocation
    annotations: tuple[str, ...] = ()
    image_listing: Artifact | None = Field(None, alias=IMAGE_LISTING)


class EvaluationRequest(DataRequest):
    """What every request to evaluate states.

    Attributes:
        classes: class names in the order of the detector's logits.
        detector: shape of everything around the backbone.
        resolutions: sizes that are evaluated, and drawn in a training before.
        evaluation_batch: images evaluated at once.
        by_orientation: batches have images of one orientation, portrait or not, which pads them
            less; earlier versions drew from all images alike.
        latency: what the detector's latency is compared with; None if it is not measured.
    """

    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    detector: DetectorShape
    resolutions: Resolutions
    evaluation_batch: Positive = 8
    by_orientation: Flag = added(1, default=False)
    latency: LatencyComparison | None = added(1)


class TrainingRequest(EvaluationRequest):
    """What every request to train states.

    Attributes:
        seed: every draw of the job follows from this and the iteration.
        training: the schedule.
    """

    seed: Count
    training: Training


class BaseRequest(TrainingRequest):
    """Train the base detector, or take it from a checkpoint.

    Attributes:
        architecture: the base's backbone.
        weights: path or URI of a checkpoint to start from; with 0 epochs it is the base itself.
        weights_sha256: digest of that checkpoint, as the search was prepared with it.
        weights_part: what the checkpoint is of. A trainer that does not know the field takes it
            for a detector's, and refuses it.
        frozen_stages: the stem and this many stages are not trained; -1 trains everything.
        norm_eval: the backbone's batch norms keep their statistics in training.
        zero_init_residual: residual branches begin at zero where there are no weights.
    """

    kind: Literal["Base"] = "Base"
    architecture: Architecture
    weights: str | None = None
    weights_sha256: str | None = None
    weights_part: Literal["Detector", "Backbone"] = added(1, "Detector")
    frozen_stages: Annotated[int, Field(ge=-1, strict=True)] = added(1, -1)
    norm_eval: Flag = added(1, False)
    zero_init_residual: Flag = added(1, default=True)


class PoolPhaseRequest(TrainingRequest):
    """Train one phase of the elastic teacher pool (paper, A.1.3).

    Attributes:
        phase: 0 trains the supernet alone; later ones draw a subnet per step and distil it.
        supernet: channels at width 1.0.
        full_space: the pool's entire space; its largest subnet is the supernet.
        space: the subnets this phase draws.
        previous: weights to resume from; none for phase 0.
        supernet_weights: the supernet after phase 0, which teaches the shrinking phases.
        sort_channels: order channels by importance before the first shrinking phase.
        bn_images: training images over which batch norm statistics are computed.
        own_statistics: so are those of the supernet that teaches; in earlier versions it kept the
            running ones of its training.
        zero_init_residual: residual branches of the supernet begin phase 0 at zero.
    """

    kind: Literal["PoolPhase"] = "PoolPhase"
    phase: Count
    supernet: SupernetShape
    full_space: TeacherSpace
    space: TeacherSpace
    previous: Artifact | None = None
    supernet_weights: Artifact | None = None
    sort_channels: bool = True
    distillation: Distillation = Distillation()
    bn_images: Positive = 32
    own_statistics: Flag = added(1, default=False)
    zero_init_residual: Flag = added(1, default=True)


class PoolLayout(Schema):
    """How a pool's weights are laid out: channels at width 1.0, and the entire space."""

    supernet: SupernetShape
    space: TeacherSpace


class Pool(PoolLayout):
    """A trained pool, as a student's job uses it.

    Attributes:
        weights: the supernet's weights after the last phase.
        bn_images: training images over which a teacher's batch norm statistics are computed.
        seed: chooses those images and their sizes.
    """

    weights: Artifact
    bn_images: Positive = 32
    seed: Count = 0


class RepeatedChannelPruning(Tagged):
    """Channel pruning in steps, without training between them; no action of the search.

    Attributes:
        step: one of the steps.
        flops: steps are taken until one image costs the detector at most these.
        resolution: of that image.
    """

    kind: Literal["RepeatedChannelPruning"] = "RepeatedChannelPruning"
    step: ChannelPruning
    flops: Positive
    resolution: Resolution


class DetectorUpgrade(Schema):
    """What a found student gets before it is fine-tuned (paper, X101).

    Attributes:
        deformable: stages, from 1, whose 3×3 convolutions become deformable.
        cascade: its box head becomes the three of Cascade R-CNN.
    """

    deformable: tuple[int, ...] = ()
    cascade: Flag = False


class StudentRequest(TrainingRequest):
    """Evolve a student, train it under a teacher, evaluate it.

    One shape serves a trial (fast evaluation), the final fine-tuning, which takes no action but
    the pruning that its settings name, and a baseline, whose parent is the base.

    Attributes:
        trial: what the search decided, for a trial; the fields below follow from it.
        parent: the parent's backbone.
        parent_added: blocks the parent's lineage added recently.
        parent_weights: the parent's weights, with the distillation adaptor where it has one.
        inherit: the student starts with them; else from a new initialisation, and they only rank
            what the action removes.
        zero_init_residual: residual branches of such a new initialisation begin at zero.
        action: what to do to the parent; None if only the teacher changes. A trainer that does not
            know one refuses the request.
        teacher: the subnet that teaches; none trains plainly.
        pool: where the teacher comes from.
        draws_teachers: each step has another teacher, drawn from a few of the pool; ``teacher`` is
            the supernet.
        external: the external teacher, as the prepare job stored it, in place of ``teacher`` and
            ``pool``.
        new_adaptor: the distillation adaptor is initialised: the parent's is for the pool's
            teachers.
        upgrade: what the student gets before the training; ``detector`` is its shape before that.
        narrowed: in place of an action, the parent's blocks with smaller widths, of which each
            keeps its most important channels.
    """

    kind: Literal["Evaluate", "Finetune", "Baseline"] = "Evaluate"
    trial: Proposal | None = None
    parent: Architecture
    parent_added: tuple[AddedBlock, ...] = ()
    parent_weights: Artifact
    action: Action | RepeatedChannelPruning | None = None
    teacher: Teacher | None = None
    pool: Pool | None = None
    distillation: Distillation = Distillation()
    inherit: Flag = added(1, default=True)
    zero_init_residual: Flag = added(1, default=True)
    draws_teachers: Flag = added(1, default=False)
    external: Artifact | None = added(1)
    new_adaptor: Flag = added(1, default=False)
    upgrade: DetectorUpgrade | None = added(1)
    narrowed: Architecture | None = added(1)

    @property
    def trials(self) -> tuple[Proposal, ...]:
        """The trial that the job evaluates; none for a fine-tuning or a baseline."""
        return () if self.trial is None else (self.trial,)


class SubnetsRequest(EvaluationRequest):
    """Evaluate subnets of a pool as detectors of their own, without training (paper, F).

    Attributes:
        first: number of the trial that the first of them is; the others follow it.
        pool: that they are of.
        subnets: which.
    """

    kind: Literal["Subnets"] = "Subnets"
    first: Count
    pool: Pool
    subnets: Annotated[tuple[Teacher, ...], Field(min_length=1, max_length=MAX_JOB_SUBNETS)]

    @property
    def trials(self) -> tuple[Proposal, ...]:
        """The trials that the job evaluates, by number; nothing in them is drawn by a seed."""
        return tuple(
            Proposal(index=index, step=Step.SUBNET, teacher=subnet, seed=0, job=self.first)
            for index, subnet in enumerate(self.subnets, self.first)
        )


class ExtractRequest(EvaluationRequest):
    """Take one subnet out of a pool as a detector with weights of its own, and evaluate it.

    Attributes:
        pool: that it is of.
        subnet: which.
    """

    kind: Literal["Extract"] = "Extract"
    pool: Pool
    subnet: Teacher


class DetectorToTest(Schema):
    """A detector to be scored on the test split.

    Attributes:
        name: of it in the search, which also begins the names of its files.
        architecture: its backbone.
        detector: shape of neck and heads.
        weights: its weights.
        resolutions: sizes at which it is scored; the first was chosen on the validation images.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    architecture: Architecture
    detector: DetectorShape
    weights: Artifact
    resolutions: Resolutions


class FinalTestRequest(DataRequest):
    """Score the detectors that the search has come to, once, on images that decided nothing.

    Attributes:
        annotations: of all three splits; ``image_listing`` is that of the test images.
        detectors: the base first.
    """

    kind: Literal["Test"] = "Test"
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    detectors: Annotated[
        tuple[DetectorToTest, ...], Field(min_length=1, max_length=MAX_TESTED_DETECTORS)
    ]
    evaluation_batch: Positive = 8


class ExportRequest(DataRequest):
    """Write a detector as a folder that stock mmdet loads.

    Attributes:
        detector: shape of everything around the detector's backbone.
        resolution: the size at which the student is best.
        expected_map: mAP on record at that size; the exported folder must give the same.
        base: the base's backbone, to time both side by side.
        base_detector: the base's shape; None if it is ``detector``.
        gain: of the student over the base; None if unknown, and for the base itself.
        test: what it reaches on the test images; None if it was not scored there.
        files: to be written beside mmdet's; None for none. A trainer that does not know the field
            writes none.
        card: what the folder's model card states of the search; None if unknown.
    """

    kind: Literal["Export"] = "Export"
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    detector: DetectorShape
    architecture: Architecture
    weights: Artifact
    resolution: Resolution
    expected_map: float
    base: Architecture
    base_weights: Artifact
    base_resolution: Resolution
    evaluation_batch: Positive = 8
    base_detector: DetectorShape | None = added(1)
    gain: Gain | None = added(1)
    test: Score | None = added(1)
    files: ExportSettings | None = added(1)
    card: ModelCard | None = added(1)

    @property
    def is_base(self) -> bool:
        """Whether the detector to write is the base itself, because no student is better."""
        return self.weights == self.base_weights


Request = Annotated[
    PrepareRequest
    | BaseRequest
    | PoolPhaseRequest
    | StudentRequest
    | SubnetsRequest
    | ExtractRequest
    | FinalTestRequest
    | ExportRequest,
    Field(discriminator="kind"),
]
