"""What a job found: `result.json`, written last, create-only, the only sign of completion."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from detnas.actions import AddedBlock
from detnas.architecture import Architecture, Place
from detnas.records.artifacts import EXTERNAL_TEACHER, IMAGE_LISTING, TEST_LISTING, Artifact
from detnas.records.exports import ExportedFile
from detnas.records.latency import RelativeLatency
from detnas.records.settings import DetectorShape, Resolution
from detnas.schema import Count, Flag, Positive, Schema, Tagged, added


class Outcome(StrEnum):
    """How a job ended; only Infrastructure may be tried again by a new proposal."""

    SUCCEEDED = "Succeeded"
    INVALID = "Invalid"
    OUT_OF_MEMORY = "OutOfMemory"
    DIVERGED = "Diverged"
    INFRASTRUCTURE = "Infrastructure"


class Attempt(Schema):
    """One process's try at a job.

    Attributes:
        number: from 1; its files are under ``attempts/<number>/``.
        resumed_at: iteration of the checkpoint it resumed from; 0 for a fresh start.
    """

    number: Positive
    started: datetime
    resumed_at: Count = 0


class Result(Tagged):
    """What every job states at its end.

    Attributes:
        message: for people: why it failed, or a remark.
        attempt: number of the attempt that wrote this; 0 where the scheduler did.
        seconds: wall time by activity: ``training``, ``evaluating``, and what is between them
            (``loading``, ``evolving``, ``teacher``, ``publishing``, …), over all attempts known.
        versions: packages that computed it.
        files: every other file of the result, by role.
    """

    ALWAYS: ClassVar = ("kind", "outcome")  # people search for it, too

    outcome: Outcome = Outcome.SUCCEEDED
    message: str = ""
    attempt: Count = 1
    started: datetime
    finished: datetime
    seconds: dict[str, float] = {}
    versions: dict[str, str] = {}
    files: dict[str, Artifact] = {}


Metric = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
"""A fraction, or -1; NaN could not be compared with the other trials' metrics."""


MetricError = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A standard error of a metric."""

MAX_RESOLUTIONS = 16
"""Of a search, and so the most scores of a detector."""

MAX_ADDED_BLOCKS = 64
"""Most blocks that a record lists as added recently: one a step, listed for three steps."""


MAX_REPLICATES = 1000
"""Most values of a bootstrap that a score holds."""


class Score(Schema):
    """COCO metrics at one resolution, unrounded fractions; -1 where a size has no boxes.

    Attributes:
        map_error: standard error of mAP, from its bootstrap over the images; None if unknown, as in
            records of an earlier version.
        replicates: mAP of each replicate of that bootstrap, rounded. Every detector that is scored
            on the same images has the same draws, so differences between two are paired. Empty if
            unknown.
        latency: relative to the base's; None if the search does not count it.
    """

    resolution: Resolution
    map: Metric
    ap50: Metric
    ap75: Metric
    ap_small: Metric
    ap_medium: Metric
    ap_large: Metric
    map_error: MetricError | None = added(1)
    replicates: Annotated[tuple[Metric, ...], Field(max_length=MAX_REPLICATES)] = added(1, ())
    latency: RelativeLatency | None = added(1)

    @property
    def without_replicates(self) -> "Score":
        """The same for records that hold many scores, and compare none."""
        return self.model_copy(update={"replicates": ()})


Scores = Annotated[tuple[Score, ...], Field(max_length=MAX_RESOLUTIONS)]
"""One per resolution."""


class SplitSummary(Schema):
    """One annotation file: its content's digest and what it holds.

    Every annotation is counted once: among ``boxes``, or as the reason why it is ignored.

    Attributes:
        boxes: that training uses, crowds included.
        empty_images: images without such a box.
        crowds: boxes that mark a crowd.
        clipped: boxes that are cut at their image's border.
        too_small: boxes below one pixel, or without an area.
        outside: boxes outside their image.
        marked: boxes that the file marks to be ignored.
        classes_without_boxes: names of classes without an ordinary box.
        turned_images: images whose EXIF orientation turns or mirrors them and keeps their size;
            boxes are taken as on the displayed image.
    """

    sha256: str
    images: Count
    boxes: Count
    empty_images: Count
    crowds: Count = 0
    clipped: Count = 0
    too_small: Count = 0
    outside: Count = 0
    marked: Count = 0
    classes_without_boxes: tuple[str, ...] = ()
    turned_images: Count = 0


class PrepareResult(Result):
    """What the data set holds.

    Attributes:
        digest: of both annotation files and the classes; a pool's digest covers it.
        weights: SHA-256 of the checkpoint that the base starts from; empty where there is none,
            and in records of an earlier version.
        missing: annotated images that cannot be used, and why (first 100).
        warnings: where the manifest does not fit the data, a line each.
        teacher: SHA-256 of the external teacher's configuration and checkpoint; empty without one.
        test: the test split; None if the data set has none, or the trainer knows none.
        verbs: kinds of jobs that the trainer knows, of those that were added; a search's trainer
            stays the same.
        measures_latency: it measures the latencies that H counts with `search.objective: Latency`.
    """

    kind: Literal["Prepare"] = "Prepare"
    digest: str = ""
    weights: str = ""
    classes: tuple[str, ...] = ()
    train: SplitSummary | None = None
    val: SplitSummary | None = None
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    teacher: tuple[str, ...] = added(1, ())
    test: SplitSummary | None = added(1)
    verbs: tuple[str, ...] = added(1, ())
    measures_latency: Flag = added(1, default=False)

    @property
    def external_teacher(self) -> Artifact | None:
        """The external teacher as students' jobs read it; None without one."""
        return self.files.get(EXTERNAL_TEACHER)

    @property
    def image_listing(self) -> Artifact | None:
        """The listing of the images; None in records of an earlier version."""
        return self.files.get(IMAGE_LISTING)

    @property
    def annotations(self) -> tuple[str, ...]:
        """SHA-256 of the training and the validation annotations."""
        return tuple(split.sha256 for split in (self.train, self.val) if split is not None)

    @property
    def test_annotations(self) -> tuple[str, ...]:
        """SHA-256 of the annotations of all three splits; of two if there is no test split."""
        return (*self.annotations, *([self.test.sha256] if self.test is not None else []))

    @property
    def test_listing(self) -> Artifact | None:
        """The listing of the test images; None without a test split."""
        return self.files.get(TEST_LISTING)


GAMMA_EDGES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Lower ends of the intervals in which batch norm weights |γ| are counted; the last has no end."""


class DetectorResult(Result):
    """A trained detector: the base, or a student.

    Attributes:
        architecture: backbone after the action.
        added: blocks added recently, with their ages.
        scores: one per resolution.
        notes: what was done to the weights that a reader should know, such as a lateral that was
            initialised again.
        removed: places (of the parent) that layer pruning removed.
        iterations: training steps done.
        final_loss: mean of the last steps' losses by name.
        loss_by_epoch: mean total loss of each of the last epochs, oldest first.
        micro_batch: images in a part of a batch; None if batches were not divided.
        shape: of neck and heads, where an upgrade made it another than the search's.
        gammas: of the backbone's batch norms, by ``stem`` and number of the stage: how many weights
            |γ| are in each interval of `GAMMA_EDGES` (paper, figure 11).
    """

    kind: Literal["Detector"] = "Detector"
    micro_batch: Positive | None = added(1)  # first: below, `added` is a field
    shape: DetectorShape | None = added(1)
    gammas: dict[str, tuple[Count, ...]] = added(1, {})
    architecture: Architecture | None = None
    added: Annotated[tuple[AddedBlock, ...], Field(max_length=MAX_ADDED_BLOCKS)] = ()
    scores: Scores = ()
    notes: tuple[str, ...] = ()
    removed: tuple[Place, ...] = ()
    iterations: Count = 0
    final_loss: dict[str, float] = {}
    loss_by_epoch: tuple[float, ...] = ()

    @property
    def is_upgraded(self) -> bool:
        """Whether it has more than a student of the search: other layers or heads."""
        deformable = self.architecture is not None and bool(self.architecture.deformable)
        return deformable or self.shape is not None

    @property
    def weights(self) -> Artifact:
        """The detector's weights.

        Raises:
            KeyError: the job did not succeed, so there are none.
        """
        return self.files["weights"]


class SubnetScore(Schema):
    """How one subnet of the pool performs after its batch norm statistics are reset."""

    name: str
    depths: tuple[int, ...]
    widths: tuple[str, ...]
    scores: Scores


MAX_JOB_SUBNETS = 25
"""Most subnets that one job evaluates. A segment of the ledger, 100 trials, is a multiple of it."""


class SubnetsResult(Result):
    """What subnets of a pool reach; nothing was trained, so there are no weights.

    Attributes:
        subnets: one for each that was requested, in that order.
    """

    kind: Literal["Subnets"] = "Subnets"
    subnets: Annotated[tuple[SubnetScore, ...], Field(max_length=MAX_JOB_SUBNETS)] = ()


class EvaluatedSubnets(Schema):
    """`attempts/<n>/subnets.json`: what a job's attempts have evaluated so far, overwritten.

    Attributes:
        subnets: the first of those requested.
        seconds: wall time by activity, as in a result.
    """

    subnets: Annotated[tuple[SubnetScore, ...], Field(max_length=MAX_JOB_SUBNETS)]
    seconds: dict[str, float] = {}


MAX_TESTED_DETECTORS = 40
"""Most detectors that one job scores on the test split: more than a search can come to."""


class DetectorOnTest(Schema):
    """What one detector reaches on the test split.

    Attributes:
        name: as requested.
        scores: one per resolution that was requested, in that order.
    """

    name: str
    scores: Scores


DetectorsOnTest = Annotated[tuple[DetectorOnTest, ...], Field(max_length=MAX_TESTED_DETECTORS)]


class FinalTestResult(Result):
    """What the search's detectors reach on the test split.

    Their detections are among the files, in COCO's format for results, under the ids of the
    annotation file: ``<name>-<resolution>.json``.

    Attributes:
        detectors: one for each that was requested, in that order.
    """

    kind: Literal["Test"] = "Test"
    detectors: DetectorsOnTest = ()


class FinalTestSoFar(Schema):
    """`attempts/<n>/tested.json`: what a job's attempts have scored so far, overwritten.

    Attributes:
        detectors: the first of those requested.
        files: their detections.
        seconds: wall time by activity, as in a result.
    """

    detectors: DetectorsOnTest
    files: dict[str, Artifact] = {}
    seconds: dict[str, float] = {}


class PoolPhaseResult(Result):
    """A trained phase: the supernet's weights, and what sampled subnets reach.

    Attributes:
        subnets: what they reach.
        iterations: training steps done.
        final_loss: mean of the last steps' losses by name.
        micro_batch: images in a part of a batch; None if batches were not divided.
    """

    kind: Literal["PoolPhase"] = "PoolPhase"
    subnets: tuple[SubnetScore, ...] = ()
    iterations: Count = 0
    final_loss: dict[str, float] = {}
    micro_batch: Positive | None = added(1)

    @property
    def weights(self) -> Artifact:
        """The supernet's weights; KeyError where the phase did not succeed."""
        return self.files["weights"]


class Latency(Schema):
    """Time of one image at batch 1, in milliseconds: median over repeated runs."""

    resolution: Resolution
    milliseconds: float
    device: str


class ExportResult(Result):
    """The exported folder and what was measured on it.

    Attributes:
        exported: the folder's detectors in their formats and precisions, mmdet's first; empty if
            mmdet's is the only one.
    """

    kind: Literal["Export"] = "Export"
    exported: Annotated[tuple[ExportedFile, ...], Field(max_length=16)] = added(1, ())
    map: float = 0.0
    student_latency: Latency | None = None
    base_latency: Latency | None = None
    base_latency_same_resolution: Latency | None = None


AnyResult = Annotated[
    PrepareResult
    | DetectorResult
    | PoolPhaseResult
    | SubnetsResult
    | FinalTestResult
    | ExportResult,
    Field(discriminator="kind"),
]
