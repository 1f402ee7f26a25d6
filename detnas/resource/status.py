"""The status of a DetNASSearch: what `kubectl` shows of a search, always under 64 KB.

Fractional numbers are strings, as the Kubernetes API conventions require. Texts and lists that are
too long are cut, so that no status is ever refused; the store has everything in full.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from detnas.gain import GainMetric
from detnas.records.results import Outcome
from detnas.resource.cut import AtMost, NumberText, ShortNumberText
from detnas.schema import Count, Flag, Schema

MAX_STATUS_BYTES = 64 * 1024
"""Bytes of JSON that no status exceeds."""

MAX_COMPARED = 8
"""Detectors that the search came to, of which the status names the first."""


def _in_seconds(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


Time = Annotated[AwareDatetime, AfterValidator(_in_seconds)]
"""A moment in whole seconds of UTC, as metav1.Time is."""

Word = Annotated[str, AtMost(64)]
Message = Annotated[str, AtMost(1024)]
Uri = Annotated[str, AtMost(1536)]
Size = Annotated[str, AtMost(16)]


class Condition(Schema):
    """One aspect of the search, in the shape of metav1.Condition."""

    type: Word = Field(description="Name of the aspect.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: Count = Field(0, description="Generation of the spec that it describes.")
    last_transition_time: Time = Field(description="When status last changed.")
    reason: Word = Field(description="Why, in one CamelCase word for programs.")
    message: Message = Field("", description="Why, for people.")


class TrialCounts(Schema):
    """Numbers of trials."""

    total: Count = Field(0, description="Trials after which the search ends.")
    finished: Count = Field(0, description="Finished, without those lost to machines.")
    active: Count = Field(0, description="Running or waiting for a machine.")
    succeeded: Count = Field(0, description="Trained and evaluated.")
    invalid: Count = Field(0, description="Candidates that are not valid detectors.")
    out_of_memory: Count = Field(0, description="Candidates that do not fit a GPU.")
    diverged: Count = Field(0, description="Candidates whose loss diverged.")
    infrastructure: Count = Field(0, description="Lost to machines and replaced by further trials.")
    progress: Size = Field("", description="Finished and total, such as 37/100.")


OUTCOME_FIELDS = {
    Outcome.SUCCEEDED: "succeeded",
    Outcome.INVALID: "invalid",
    Outcome.OUT_OF_MEMORY: "outOfMemory",
    Outcome.DIVERGED: "diverged",
    Outcome.INFRASTRUCTURE: "infrastructure",
}
"""Where `TrialCounts`, as JSON, counts each outcome."""


class TeachersStatus(Schema):
    """The elastic teacher pool."""

    progress: Size = Field("", description="Finished phases such as 2/3, Ready, or Waiting.")
    pool: Uri | None = Field(None, description="Address of the pool's folder.")
    holder: Annotated[str, AtMost(256)] | None = Field(
        None, description="The search that trains the pool while this one waits."
    )


class DetectorSummary(Schema):
    """A detector at its best resolution."""

    h: NumberText | None = Field(None, description="Score.")
    map: NumberText | None = Field(None, description="COCO mAP, a fraction.")
    flops: Count | None = Field(None, description="FLOPs of one image at the resolution.")
    resolution: Size | None = Field(None, description="Resolution of the highest score.")
    encoding: Annotated[str, AtMost(3008)] | None = Field(
        None, description="Backbone (paper, Appendix B); a very long one is cut."
    )
    h_error: NumberText | None = Field(
        None, description="Standard error of h over the validation images."
    )
    map_error: NumberText | None = Field(None, description="Standard error of map, likewise.")
    estimated_h: NumberText | None = Field(
        None, description="Of a trial, its estimated score, if trials are selected by that."
    )
    test_h: NumberText | None = Field(None, description="h on the test images, if it was measured.")
    test_h_error: NumberText | None = Field(None, description="Standard error of testH, likewise.")
    test_map: NumberText | None = Field(None, description="map on the test images, likewise.")
    test_map_error: NumberText | None = Field(
        None, description="Standard error of testMap, likewise."
    )
    parameters: Count | None = Field(None, description="Parameters of the entire detector.")
    latency_ms: NumberText | None = Field(
        None, description="Milliseconds for one image at the resolution, if they were measured."
    )
    trial: Count | None = Field(None, description="Number of its trial.")
    uri: Uri | None = Field(None, description="Address of its files.")


class Exported(DetectorSummary):
    """The exported detector."""

    is_base: Flag | None = Field(
        None, description="It is the base itself, because no student is better; else left out."
    )
    gain: NumberText | None = Field(
        None,
        description="Its gainMetric less the base's, on the images that gainOn names.",
    )
    gain_low: NumberText | None = Field(
        None, description="Lower end of the gain's paired 95 % interval over the images."
    )
    gain_high: NumberText | None = Field(None, description="Upper end of that interval.")
    gain_metric: GainMetric | None = Field(
        None, description="What the gain is of: H, or mAP if finetune.upgrade changed the detector."
    )
    gain_on: Literal["Test", "Validation"] | None = Field(
        None,
        description="Test: images that decided nothing; Validation: those it was selected on.",
    )
    gain_images: Count | None = Field(None, description="How many images these are.")


class Compared(Schema):
    """A detector that the search compared at its end."""

    name: Annotated[str, AtMost(32)] = Field(description="The base, a trial, or a baseline.")
    exported: Flag = Field(False, description="It was chosen.")
    h: ShortNumberText | None = Field(None, description="Score.")
    h_error: ShortNumberText | None = Field(
        None, description="Standard error of h over the validation images."
    )
    map: ShortNumberText | None = Field(None, description="COCO mAP, a fraction.")
    map_error: ShortNumberText | None = Field(None, description="Standard error of map, likewise.")
    flops: Count | None = Field(None, description="FLOPs of one image at its best resolution.")
    test_h: ShortNumberText | None = Field(None, description="h on the test images.")
    test_h_error: ShortNumberText | None = Field(
        None, description="Standard error of testH over these."
    )
    test_map: ShortNumberText | None = Field(None, description="map on the test images.")
    test_map_error: ShortNumberText | None = Field(
        None, description="Standard error of testMap, likewise."
    )
    lead: ShortNumberText | None = Field(
        None, description="Of a baseline: H of the exported detector less its own."
    )
    lead_low: ShortNumberText | None = Field(
        None, description="Lower end of the lead's paired 95 % interval over the images."
    )
    lead_high: ShortNumberText | None = Field(None, description="Upper end of that interval.")
    message: Annotated[str, AtMost(32)] = Field("", description="How it failed.")


class ActiveJobStatus(Schema):
    """A job that has not ended, with its latest progress."""

    job: Word = Field(description="Name of the Job.")
    verb: Size = Field(description="Kind of job, such as evaluate.")
    trial: Count | None = Field(None, description="Number of its trial, or of the pool's phase.")
    activity: Annotated[str, AtMost(32)] = Field(
        "", description="What it is doing, such as training."
    )
    done: Count = Field(0, description="Finished steps of the activity.")
    total: Count = Field(0, description="Steps of the activity.")
    epoch: Count = Field(0, description="Current epoch, from 1; 0 outside training.")
    epochs: Count = Field(0, description="Epochs of the training.")
    loss: NumberText | None = Field(None, description="Recent total loss.")
    seconds_left: Count | None = Field(None, description="Estimate for the entire job.")
    started: Time | None = Field(None, description="When its pod started.")


class TopTrial(Schema):
    """One of the best trials."""

    trial: Count = Field(description="Number.")
    h: NumberText = Field(description="Score.")
    h_error: NumberText | None = Field(
        None, description="Standard error of h over the validation images."
    )
    estimated_h: NumberText | None = Field(
        None, description="Estimated score, if trials are selected by that."
    )
    map: NumberText = Field(description="COCO mAP, a fraction.")
    flops: Count = Field(description="FLOPs of one image at the resolution.")
    resolution: Size = Field(description="Resolution of the highest score.")


class FrontDetector(Schema):
    """A detector that none is as accurate and as cheap as, at one resolution."""

    detector: Word = Field(description="The base, or a trial, such as trial 31, fine-tuned.")
    trial: Count | None = Field(None, description="Number of its trial; none of the base.")
    map: NumberText = Field(description="COCO mAP, a fraction.")
    map_error: NumberText | None = Field(
        None, description="Standard error of map over the validation images."
    )
    flops: Count = Field(description="FLOPs of one image at the resolution.")
    resolution: Size = Field(description="Size of the image.")


class RecommendedDetector(Schema):
    """The detector for one of the objectives."""

    objective: Annotated[str, AtMost(128)] = Field(description="Name, or limits.")
    detector: Word | None = Field(None, description="As in front; left out if none fits.")
    trial: Count | None = Field(None, description="Number of its trial; none of the base.")
    resolution: Size | None = Field(None, description="Size of the image.")
    map: NumberText | None = Field(None, description="COCO mAP, a fraction.")
    flops: Count | None = Field(None, description="FLOPs of one image at the resolution.")
    latency_ms: NumberText | None = Field(
        None, description="Milliseconds for one image, if the objective depends on it."
    )
    reason: Annotated[str, AtMost(384)] = Field(description="Why this one, or why none.")


class FailedTrial(Schema):
    """A recent trial that failed."""

    trial: Count = Field(description="Number.")
    outcome: Size = Field(description="How it ended.")
    message: Annotated[str, AtMost(448)] = Field("", description="Why, for people.")


class ResourceStatus(Schema):
    """The operator's report on a search."""

    observed_generation: Count = Field(
        0, description="Generation of the spec that this status describes."
    )
    phase: Size = Field("Pending", description="Phase of the search.")
    conditions: Annotated[tuple[Condition, ...], AtMost(8)] = Field(
        (), description="Every aspect; Degraded and Succeeded say why nothing happens."
    )
    folder: Uri | None = Field(None, description="Address of the search's folder.")
    trials: TrialCounts | None = Field(None, description="Numbers of trials.")
    teachers: TeachersStatus | None = Field(None, description="The teacher pool.")
    base: DetectorSummary | None = Field(None, description="The base detector.")
    best: DetectorSummary | None = Field(None, description="The best student so far.")
    exported: Exported | None = Field(None, description="The exported detector.")
    compared: Annotated[tuple[Compared, ...], AtMost(MAX_COMPARED)] = Field(
        (), description="The base and what the search came to; the report lists more than 8."
    )
    flops_change: Size | None = Field(
        None, description="FLOPs of the best student relative to the base's, such as -41%."
    )
    latency_change: Size | None = Field(
        None,
        description="The same of the latency, if search.objective is Latency.",
    )
    active: Annotated[tuple[ActiveJobStatus, ...], AtMost(50)] = Field(
        (), description="Jobs that have not ended; at most 50, trials.active counts all."
    )
    top: Annotated[tuple[TopTrial, ...], AtMost(10)] = Field((), description="Best trials.")
    front: Annotated[tuple[FrontDetector, ...], AtMost(10)] = Field(
        (), description="Detectors that none is as accurate and as cheap as, evenly spread."
    )
    recommended: Annotated[tuple[RecommendedDetector, ...], AtMost(8)] = Field(
        (), description="The detector for each of spec.objectives."
    )
    failures: Annotated[tuple[FailedTrial, ...], AtMost(5)] = Field(
        (), description="Recent trials that failed."
    )
    gpu_hours: NumberText | None = Field(None, description="GPU hours used so far.")
    seconds_left: Count | None = Field(None, description="Estimate until the search ends.")
    image: Annotated[str, AtMost(512)] | None = Field(
        None, description="Trainer image that the search is pinned to."
    )
    history: Uri | None = Field(None, description="Address of every trial's record.")
    forgiven_trials: Count = Field(
        0, description="Trials below this number no longer count as consecutive failures."
    )
    lost_gpu_hours: NumberText | None = Field(
        None, description="Part of gpuHours: of work whose records are lost."
    )
    accepted_data_loss: Word | None = Field(
        None, description="Token of the data loss that was accepted last."
    )

    def to_json(self) -> dict[str, object]:
        """The status as the API server takes it; what is unknown is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
